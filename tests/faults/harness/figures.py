"""What a harness counts, and the table that it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Figures:
    """The figures of one run. Each list describes what it counts, so that a failure can be understood and repeated.

    A sale is lost if it was acknowledged but has no row, no item or no completed claim. It is doubled if it has more
    than one row, and stuck if no number of deliveries gets it acknowledged. ``escaped`` lists exceptions that are not
    the project's own; ``overtime`` lists deliveries that were answered after their deadline.
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
        """The lists that should be empty but are not."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, list) and value}

    def __add__(self, other: Figures) -> Figures:
        return Figures(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def row(self, name: str) -> dict[str, Any]:
        """Return the figures as a row of a table."""
        counts = {
            each.name: len(value) if isinstance(value := getattr(self, each.name), list) else value
            for each in fields(self)
        }
        return {"harness": name, **counts, "seconds": f"{self.seconds:.0f}"}


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as a Markdown table. The keys of the first row are the columns."""
    columns = list(rows[0])
    lines = [[str(column) for column in columns], ["---"] * len(columns)]
    lines += [[str(row.get(column, "")) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def print_table(*rows: dict[str, Any]) -> None:
    """Print rows to a test's captured output. pytest shows it with -s or -rP, and if the test fails."""
    sys.stdout.write(f"{as_table(rows)}\n")
