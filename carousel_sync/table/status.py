"""How a table stands beside the migrations of this code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pyiceberg.table import Table

from schemas.evolution.apply import Drift, drift
from schemas.evolution.migration import Position, position_of
from schemas.evolution.shape import shape_of


class State(StrEnum):
    """The answer in one word."""

    MISSING = "missing"
    BEHIND = "behind"
    UP_TO_DATE = "up to date"
    DRIFTED = "drifted"
    AHEAD = "ahead"


@dataclass(frozen=True)
class TableStatus:
    """A table's version, this code's, and where the table differs from what its version says it is."""

    state: State
    code_version: int
    position: Position | None
    drift: Drift
    columns: dict[str, int]
    """Field ids by the columns' names, nested ones included."""

    @property
    def sentence(self) -> str:
        """Return the answer for people."""
        if self.position is None:
            return "there is no such table. Create it: carousel-sync evolve apply"
        known = f"version {self.position.version}, this code knows {self.code_version}"
        half = f" ({self.position.step} operations of the next are done)" if self.position.step else ""
        return {
            State.BEHIND: f"{known}{half}. Bring it up to date: carousel-sync evolve apply",
            State.AHEAD: f"{known}. Columns that this code does not know are written null.",
            State.DRIFTED: f"{known}, and it differs from its version:",
        }.get(self.state, f"{known}: up to date")

    @property
    def differences(self) -> list[str]:
        """Return where the table differs, for people."""
        return [
            *(
                f"the table has {one}; this code does not know it, and writes it null"
                for one in self.drift.unknown_columns
            ),
            *(f"the table has not {one}; events with a value for it wait" for one in self.drift.missing_columns),
            *self.drift.different_columns,
            *self.drift.other,
            *(f"property {one}" for one in self.drift.properties),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "state": self.state.value,
            "table_version": self.position.version if self.position else None,
            "operations_done_of_next": self.position.step if self.position else 0,
            "code_version": self.code_version,
            "drift": {name: list(value) for name, value in vars(self.drift).items()},
            "columns": self.columns,
        }


def status_of(table: Table | None, code_version: int) -> TableStatus:
    """Compare a table with the migrations."""
    if table is None:
        return TableStatus(State.MISSING, code_version, None, Drift(), {})
    position = position_of(shape_of(table.metadata))
    found = drift(table.metadata)
    schema = table.schema()
    columns = {schema.find_column_name(number) or "": number for number in sorted(schema.field_ids)}
    if position.version > code_version:
        state = State.AHEAD
    elif found.any:
        state = State.DRIFTED
    else:
        state = State.BEHIND if position.version < code_version else State.UP_TO_DATE
    return TableStatus(state, code_version, position, found, columns)
