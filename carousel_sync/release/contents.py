"""Which files of its dependencies the function's artefact leaves out, and why.

tests/engines/test_artefact_runs.py checks the list by running the artefact. tests/infrastructure/test_artefact.py fails
for a line that no longer matches any file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class LeftOut:
    """Leave out every match of ``pattern`` (a folder with its contents), except the names in ``kept``."""

    pattern: str
    reason: str
    kept: frozenset[str] = field(default=frozenset())


LEFT_OUT: Final = (
    # --- not used at run time ---
    LeftOut("bin", "Command-line scripts, which name the interpreter of the machine that installed them"),
    LeftOut(".lock", "Left behind by the installation"),
    LeftOut(
        "*.dist-info/*",
        "Records of the installation. METADATA stays, because vulnerability scanners read it, and so do the licences",
        kept=frozenset({"METADATA", "licenses"}),
    ),
    LeftOut("**/tests", "The packages' own tests"),
    LeftOut("**/*.pyi", "Type stubs"),
    LeftOut("**/py.typed", "Markers for type checkers"),
    LeftOut("mmh3/*.[ch]", "C sources"),
    # --- pyarrow ---
    LeftOut("pyarrow/include", "C++ headers"),
    LeftOut("pyarrow/includes", "Cython headers"),
    LeftOut("pyarrow/src", "C++ sources"),
    LeftOut("pyarrow/*.p[xy][xdi]", "Cython sources"),
    LeftOut("pyarrow/libarrow_*.so", "Second copy of a library, for linkers; programs load .so.NUMBER"),
    LeftOut("pyarrow/libarrow_*.so.*.*.*", "Third copy of a library, under its full version"),
    LeftOut("pyarrow/*flight*", "Arrow Flight, a network protocol that is not used here"),
    LeftOut("pyarrow/*_parquet_encryption*", "Parquet encryption; the table bucket encrypts at rest"),
    LeftOut("pyarrow/*orc*", "ORC files; the table's files are Parquet"),
    LeftOut("pyarrow/*feather*", "Feather files; the table's files are Parquet"),
    LeftOut("pyarrow/_azurefs*", "Azure's file system"),
    LeftOut("pyarrow/_gcsfs*", "Google's file system"),
    LeftOut("pyarrow/_hdfs*", "Hadoop's file system"),
    LeftOut("pyarrow/_pyarrow_cpp_tests*", "Test helpers"),
    LeftOut("pyarrow/conftest.py", "Test configuration"),
    # --- the AWS SDK ---
    LeftOut(
        "botocore/data/*",
        "Models of AWS services that the function has no client of",
        kept=frozenset(
            {
                *("dynamodb", "sqs", "s3", "s3tables", "glue", "sts"),
                *("_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"),
            }
        ),
    ),
    LeftOut("boto3/data", "Models of boto3's resources; the function uses clients"),
    LeftOut("boto3/examples", "Examples in boto3's documentation"),
    # --- dependencies of unused parts ---
    LeftOut("hive_metastore", "Hive's catalog"),
    LeftOut("fb303", "Hive's catalog"),
    LeftOut("fsspec*", "File access of pyiceberg through fsspec; ours is lambda_fn.aws.s3_file_io"),
    LeftOut("pyiceberg/cli", "pyiceberg's command line"),
    LeftOut("click*", "Only pyiceberg's command line imports it"),
    LeftOut("rich*", "Tables on a terminal; pyiceberg imports it only to print a schema"),
    LeftOut("markdown_it*", "Only rich imports it"),
    LeftOut("mdurl*", "Only markdown_it imports it"),
    LeftOut("pygments*", "Only rich imports it"),
    LeftOut("zstandard/_cffi*", "Second implementation, for interpreters other than CPython"),
    LeftOut("aws_lambda_powertools/event_handler", "Routing of HTTP requests"),
)


@dataclass(frozen=True)
class Removal:
    """The number and size of the files that one line left out."""

    line: LeftOut
    files: int
    bytes: int


def leave_out(folder: Path) -> list[Removal]:
    """Remove the listed files from a folder of installed packages, and return what each line removed."""
    return [_remove(folder, line) for line in LEFT_OUT]


def as_markdown() -> str:
    """Return the list as the table of docs/artefact.md."""
    rows = [f"| `{line.pattern}` | {', '.join(sorted(line.kept))} | {line.reason} |" for line in LEFT_OUT]
    return "\n".join(["| Left out | Except | Reason |", "| --- | --- | --- |", *rows])


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted by path."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _remove(folder: Path, line: LeftOut) -> Removal:
    files = size = 0
    # Sorted, so that a folder is removed before the matches inside it.
    for match in sorted(folder.glob(line.pattern)):
        if match.name in line.kept or not match.exists():
            continue
        removed = list(files_below(match)) if match.is_dir() else [match]
        files += len(removed)
        size += sum(path.stat().st_size for path in removed)
        if match.is_dir():
            shutil.rmtree(match)
        else:
            match.unlink()
    return Removal(line, files, size)
