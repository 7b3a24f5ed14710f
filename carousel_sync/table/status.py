"""Compares a target's Iceberg table with the migrations of this code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pyiceberg.table import Table

from carousel_sync.aws.target import Target
from catalog_config.drift import Difference, DifferenceType, describe, find_drift
from lambda_fn.errors import TableMissing
from schemas.evolution.migration import Position, load_migrations, position_of
from schemas.evolution.table_definition import definition_of

_JSON_KEYS: Final = {
    "unknown_columns": {DifferenceType.UNKNOWN_COLUMN, DifferenceType.UNKNOWN_REQUIRED_COLUMN},
    "missing_columns": {DifferenceType.MISSING_COLUMN},
    "different_columns": {DifferenceType.CHANGED_COLUMN},
    "other": {DifferenceType.FORMAT_VERSION, DifferenceType.PARTITION_SPEC, DifferenceType.SORT_ORDER},
    "properties": {DifferenceType.PROPERTY},
}


class State(StrEnum):
    """The comparison in one word."""

    MISSING = "missing"
    BEHIND = "behind"
    UP_TO_DATE = "up to date"
    DRIFTED = "drifted"
    AHEAD = "ahead"


@dataclass(frozen=True)
class TableStatus:
    """A table's version, the code's version, and where the table differs from what its version says it is."""

    state: State
    code_version: int
    position: Position | None
    drift: tuple[Difference, ...]
    columns: dict[str, int]
    """Field ids by column name, including nested columns."""

    def as_json(self) -> dict[str, Any]:
        """Return the status as a JSON document."""
        return {
            "state": self.state.value,
            "table_version": self.position.version if self.position else None,
            "operations_done_of_next": self.position.step if self.position else 0,
            "code_version": self.code_version,
            "drift": {
                key: [describe(difference) for difference in self.drift if difference.type in types]
                for key, types in _JSON_KEYS.items()
            },
            "columns": self.columns,
        }


def find_table(target: Target) -> Table | None:
    """Load the target's table; None if it does not exist. Raises StoreUnavailable if the catalog fails or refuses."""
    try:
        return target.load_table()
    except TableMissing:
        return None


def status_of(table: Table | None) -> TableStatus:
    """Compare a table with the migrations. Raises MigrationError if its recorded version cannot be read."""
    code_version = len(load_migrations())
    if table is None:
        return TableStatus(State.MISSING, code_version, None, (), {})
    position = position_of(definition_of(table.metadata))
    drift = find_drift(table.metadata)
    schema = table.schema()
    columns = {schema.find_column_name(field_id) or "": field_id for field_id in sorted(schema.field_ids)}
    if position.version > code_version:
        state = State.AHEAD
    elif drift:
        state = State.DRIFTED
    else:
        state = State.BEHIND if position.version < code_version else State.UP_TO_DATE
    return TableStatus(state, code_version, position, drift, columns)
