"""What a harness counts, and the table that it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Figures:
    """The figures of one run. Every list names what it counts, so that a failure can be told and repeated.

    A sale is lost when it was acknowledged and lacks its row, its item or its completed claim; doubled when it has
    more than one row; stuck when no number of deliveries gets it acknowledged. ``escaped`` are exceptions that are none
    of the project's own; ``overtime`` are deliveries that were not answered before their deadline.
    """

    deliveries: int = 0
    faults: int = 0
    sales: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)
    overtime: list[str] = field(default_factory=list)

    @property
    def problems(self) -> dict[str, list[str]]:
        """Everything that must be empty, and is not."""
        found = {name.name: getattr(self, name.name) for name in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, list) and value}

    def __add__(self, other: Figures) -> Figures:
        return Figures(**{name.name: getattr(self, name.name) + getattr(other, name.name) for name in fields(self)})

    def row(self, name: str) -> dict[str, Any]:
        """Return the figures as a line of a table."""
        counts = {
            each.name: len(value) if isinstance(value := getattr(self, each.name), list) else value
            for each in fields(self)
        }
        return {"harness": name, **counts, "seconds": f"{self.seconds:.0f}"}


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as a Markdown table; the first one's keys are its columns."""
    columns = list(rows[0])
    lines = [[str(column) for column in columns], ["---"] * len(columns)]
    lines += [[str(row.get(column, "")) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def note(rows: Sequence[dict[str, Any]]) -> None:
    """Leave figures in a test's captured output: pytest shows them with -s or -rP, and when the test fails."""
    sys.stdout.write(f"{as_table(rows)}\n")
