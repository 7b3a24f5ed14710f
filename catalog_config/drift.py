"""Drift: where a table differs from what the migrations up to its version, and the wanted properties, make of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import NestedField

from catalog_config.table_properties import FORMAT_VERSION, PROPERTIES
from schemas.evolution.migration import Migration, Position, definition_at, load_migrations, position_of
from schemas.evolution.table_definition import definition_of
from schemas.evolution.table_operations import SCHEMA_STEP, SCHEMA_VERSION


class DifferenceType(StrEnum):
    """What differs."""

    UNKNOWN_COLUMN = "unknown column"
    """Optional: this code writes null to it."""
    UNKNOWN_REQUIRED_COLUMN = "unknown required column"
    """Makes every append of this code fail."""
    MISSING_COLUMN = "missing column"
    """Events that have a value for it wait."""
    CHANGED_COLUMN = "changed column"
    """Another name, type or optionality under the same field id."""
    FORMAT_VERSION = "format version"
    PARTITION_SPEC = "partition spec"
    SORT_ORDER = "sort order"
    PROPERTY = "property"


_HARMLESS = frozenset({DifferenceType.UNKNOWN_COLUMN, DifferenceType.SORT_ORDER, DifferenceType.PROPERTY})


@dataclass(frozen=True)
class Difference:
    """One difference. ``expected`` is None for an unknown column, ``found`` for a missing column or property."""

    type: DifferenceType
    name: str
    """Of the column (as expected, if it is known) or the property; else the type's value."""
    expected: str | None
    found: str | None
    field_id: int | None = None

    @property
    def prevents_writes(self) -> bool:
        """Whether this code cannot safely write to the table. ``evolve apply`` refuses such a table."""
        return self.type not in _HARMLESS


def describe(difference: Difference) -> str:
    """Return a difference in words."""
    type_, name, expected, found = difference.type, difference.name, difference.expected, difference.found
    column = f"the column {name} (field id {difference.field_id}, {expected or found})"
    subject = name if name == type_.value else f"{type_.value} {name}"
    sentences = {
        DifferenceType.MISSING_COLUMN: f"{column} is missing; events that have a value for it wait",
        DifferenceType.UNKNOWN_COLUMN: f"{column} is unknown to this code, which writes it as null",
        DifferenceType.UNKNOWN_REQUIRED_COLUMN: f"{column} is required but unknown to this code, so every append fails",
        DifferenceType.CHANGED_COLUMN: f"field id {difference.field_id} is '{found}' instead of '{expected}'",
    }
    return sentences.get(type_, f"the {subject} is {found or 'not set'}; expected {expected}")


def find_drift(metadata: TableMetadata, migrations: Sequence[Migration] | None = None) -> tuple[Difference, ...]:
    """Compare a table, by field id, with what the migrations up to its own version make of it.

    A table that is ahead of this code is compared with the last version that the code knows, without its properties.
    Raises MigrationError if the table's recorded version cannot be read.
    """
    migrations = load_migrations() if migrations is None else migrations
    table = definition_of(metadata)
    newest = Position(len(migrations))
    position = position_of(table)
    ahead = position.version > newest.version
    expected = definition_at(migrations, newest if ahead else position, PROPERTIES)
    others = [
        (DifferenceType.FORMAT_VERSION, str(FORMAT_VERSION), str(metadata.format_version)),
        (DifferenceType.PARTITION_SPEC, _listed(expected.spec.fields), _listed(table.spec.fields)),
        (DifferenceType.SORT_ORDER, _listed(expected.sort_order.fields), _listed(table.sort_order.fields)),
    ]
    properties = {
        name: value for name, value in expected.properties.items() if name not in (SCHEMA_VERSION, SCHEMA_STEP)
    }
    return (
        *_column_differences(expected.schema, table.schema),
        *(Difference(type_, type_.value, wanted, found) for type_, wanted, found in others if wanted != found),
        *(
            Difference(DifferenceType.PROPERTY, name, value, table.properties.get(name))
            for name, value in properties.items()
            if not ahead and table.properties.get(name) != value
        ),
    )


def _column_differences(expected: Schema, found: Schema) -> Iterator[Difference]:
    known = {column.field_id: column for column in expected.fields}
    present = {column.field_id: column for column in found.fields}
    for field_id, column in present.items():
        if field_id not in known:
            required = column.required
            type_ = DifferenceType.UNKNOWN_REQUIRED_COLUMN if required else DifferenceType.UNKNOWN_COLUMN
            yield Difference(type_, column.name, None, _definition(column), field_id)
    for field_id, column in known.items():
        if field_id not in present:
            yield Difference(DifferenceType.MISSING_COLUMN, column.name, _definition(column), None, field_id)
            continue
        other = present[field_id]
        if (column.name, column.field_type, column.required) != (other.name, other.field_type, other.required):
            wanted, actual = f"{column.name}: {_definition(column)}", f"{other.name}: {_definition(other)}"
            yield Difference(DifferenceType.CHANGED_COLUMN, column.name, wanted, actual, field_id)


def _definition(column: NestedField) -> str:
    return f"{'required' if column.required else 'optional'} {column.field_type}"


def _listed(fields: Iterable[object]) -> str:
    return f"[{'; '.join(str(field) for field in fields)}]"
