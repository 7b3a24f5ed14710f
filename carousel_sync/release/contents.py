"""Leaves out the files of its dependencies that the function's artefact does not need: ``left_out.toml`` lists them.

tests/engines/test_artefact_runs.py checks the list by running the artefact. tests/infrastructure/test_artefact.py fails
for a line that no longer matches any file.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class LeftOut:
    """Leave out every match of ``pattern`` (a folder with its contents), except the names in ``kept``."""

    pattern: str
    reason: str
    kept: frozenset[str]


_LISTED: Final = tomllib.loads((files(__package__) / "left_out.toml").read_text())
LEFT_OUT: Final = tuple(
    LeftOut(pattern, reason, frozenset(_LISTED["kept"].get(pattern, ())))
    for pattern, reason in _LISTED["reasons"].items()
)


@dataclass(frozen=True)
class Removal:
    """The number and size of the files that one pattern left out."""

    pattern: str
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
    sizes: list[int] = []
    # Sorted, so that a folder is removed before the matches inside it.
    for match in sorted(folder.glob(line.pattern)):
        if match.name in line.kept or not match.exists():
            continue
        if match.is_dir():
            sizes += (path.stat().st_size for path in files_below(match))
            shutil.rmtree(match)
        else:
            sizes.append(match.stat().st_size)
            match.unlink()
    return Removal(line.pattern, len(sizes), sum(sizes))
