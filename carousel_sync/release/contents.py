"""What the function's artefact leaves out of its dependencies, and why.

Every line is verified by running the artefact: tests/engines/test_artefact_runs.py. A line that leaves nothing out any
more fails tests/infrastructure/test_artefact.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class LeftOut:
    """What is left out: every match of ``pattern`` (a folder with all that is in it), but for the names in ``kept``."""

    pattern: str
    reason: str
    kept: frozenset[str] = field(default=frozenset())


LEFT_OUT: Final = (
    # --- of no use to a running function ---
    LeftOut("bin", "Command-line scripts; their first line names the interpreter of the machine that installed them"),
    LeftOut(".lock", "Left by the installation"),
    LeftOut(
        "*.dist-info/*",
        "Records of the installation. METADATA stays, by which vulnerability scanners know what is inside, and so do "
        "the licences",
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
    LeftOut("pyarrow/*flight*", "Arrow Flight, a network protocol that nothing here speaks"),
    LeftOut("pyarrow/*_parquet_encryption*", "Parquet encryption; encryption at rest is the table bucket's"),
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
    # --- dependencies of parts that are not used ---
    LeftOut("hive_metastore", "Hive's catalog"),
    LeftOut("fb303", "Hive's catalog"),
    LeftOut("fsspec*", "File access of pyiceberg through fsspec; ours is lambda_fn.aws.s3_file_io"),
    LeftOut("pyiceberg/cli", "pyiceberg's command line"),
    LeftOut("click*", "Only pyiceberg's command line imports it"),
    LeftOut("rich*", "Tables on a terminal; pyiceberg imports it when it prints a schema as one"),
    LeftOut("markdown_it*", "Only rich imports it"),
    LeftOut("mdurl*", "Only markdown_it imports it"),
    LeftOut("pygments*", "Only rich imports it"),
    LeftOut("zstandard/_cffi*", "Second implementation, for interpreters other than CPython"),
    LeftOut("aws_lambda_powertools/event_handler", "Routing of HTTP requests"),
)


@dataclass(frozen=True)
class Removal:
    """What one line of the table left out."""

    line: LeftOut
    files: int
    bytes: int


def leave_out(folder: Path) -> list[Removal]:
    """Remove what the table names from a folder of installed packages, and tell how much each line removed."""
    return [_remove(folder, line) for line in LEFT_OUT]


def as_markdown() -> str:
    """Return the table as it stands in docs/artefact.md."""
    rows = [f"| `{line.pattern}` | {', '.join(sorted(line.kept))} | {line.reason} |" for line in LEFT_OUT]
    return "\n".join(["| left out | except | why |", "| --- | --- | --- |", *rows])


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in the order of their paths."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _remove(folder: Path, line: LeftOut) -> Removal:
    files = size = 0
    # A list, because files go while it is walked; the outermost match first takes what is below it along.
    for match in sorted(folder.glob(line.pattern)):
        if match.name in line.kept or not match.exists():
            continue
        gone = list(files_below(match)) if match.is_dir() else [match]
        files += len(gone)
        size += sum(path.stat().st_size for path in gone)
        if match.is_dir():
            shutil.rmtree(match)
        else:
            match.unlink()
    return Removal(line, files, size)
