"""``python -m tests.mutation [FILE ...]``: mutates the protocol's files, and counts the mutants that the tests detect.

Exits with 1 if the tests detect too few mutants of a set of files.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePath
from typing import Final

from rich.console import Console
from rich.table import Column, Table

from carousel_sync.project import PROJECT_ROOT
from tests.mutation.file_sets import FILE_SETS, FileSet

WORK: Final = PROJECT_ROOT / "build" / "mutants"
MOST_LEFT: Final = 0.05
_MUTMUT: Final = Path(sys.executable).with_name("mutmut")
_MUTATED: Final = "lambda_fn"
_NEEDED_BESIDE: Final = ("carousel_sync", "catalog_config", "examples", "schemas", "testbed", "tests")
# Each mutant has a pytest session of its own, in which an engine would have to start.
_ENGINES: Final = ("emulator", "s3-tables", "glue")


@dataclass(frozen=True)
class Counted:
    """The mutants of a file."""

    file: str
    mutants: int
    killed: int
    timed_out: int
    """Those on which the tests ran until the time limit, most often in a loop that does not end."""

    @property
    def left(self) -> int:
        """The number of mutants that no test detects."""
        return self.mutants - self.killed - self.timed_out


def main() -> int:
    """Mutate the files named on the command line, or all. Print the mutants that no test detects, and the counts."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("files", nargs="*", help="files or patterns (default: all of tests/mutation/file_sets.py)")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    console = Console(soft_wrap=True)
    started = time.monotonic()
    sets = [list(_run(chosen, arguments.workers, console)) for chosen in _chosen(arguments.files)]
    if not sets:
        parser.error("tests/mutation/file_sets.py has none of these files")
    table = Table(Column("file", overflow="fold"), "mutants", "killed", "timed out", "left")
    for each in chain.from_iterable(sets):
        table.add_row(each.file, str(each.mutants), str(each.killed), str(each.timed_out), str(each.left))
    console.print(table)
    console.print(f"{time.monotonic() - started:.0f} s")
    left_too_many = (
        sum(each.left for each in files) > MOST_LEFT * sum(each.mutants for each in files) for files in sets
    )
    return int(any(left_too_many))


def _chosen(patterns: Sequence[str]) -> Iterator[FileSet]:
    for each in FILE_SETS:
        files = tuple(
            file for file in each.files if not patterns or any(PurePath(file).match(name) for name in patterns)
        )
        if files:
            yield replace(each, files=files)


def _run(file_set: FileSet, workers: int, console: Console) -> Iterator[Counted]:
    folder = WORK / file_set.name
    _prepare(folder, file_set)
    _mutmut(folder, "run", "--max-children", str(workers))
    statuses: dict[str, Counter[str]] = defaultdict(Counter)
    for line in _mutmut(folder, "results", "--all", "True").splitlines():
        mutant, _, status = line.strip().partition(": ")
        statuses[mutant.rpartition(".")[0].replace(".", "/") + ".py"][status] += 1
        if status not in ("killed", "timeout"):
            console.print(f"{status}: (cd {folder} && mutmut show {mutant})", markup=False)
    for file, counts in statuses.items():
        yield Counted(file, counts.total(), counts["killed"], counts["timeout"])


def _prepare(folder: Path, file_set: FileSet) -> None:
    """Create a folder in which mutmut finds the project's files and a configuration for this set."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (_MUTATED, *_NEEDED_BESIDE):
        (folder / name).symlink_to(PROJECT_ROOT / name)
    selected = " and ".join(f"not {name}" for name in (*_ENGINES, *file_set.skipped))
    pytest_options = ["-p", "tests.mutation.warm_up", "-p", "no:cacheprovider", "-m", "not engine", "-k", selected]
    settings = {
        "source_paths": [_MUTATED],
        "only_mutate": list(file_set.files),
        "also_copy": list(_NEEDED_BESIDE),
        "pytest_add_cli_args_test_selection": list(file_set.tests),
        "pytest_add_cli_args": [*pytest_options, "--hypothesis-profile=mutants", "--hypothesis-seed=1"],
        # Threads that tests have started do not survive a fork: the process that is forked must not have run any.
        "process_isolation": "forkserver",
        # The limit is (constant + the usual time of the tests) * multiplier. On a busy machine a test may wait long.
        "timeout_constant": 10.0,
        "timeout_multiplier": 4.0,
    }
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    project = (PROJECT_ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text("\n".join([project, "[tool.mutmut]", *lines, ""]))


def _mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut, and return its output."""
    done = subprocess.run([_MUTMUT, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"mutmut {' '.join(arguments)} failed in {folder}:\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
