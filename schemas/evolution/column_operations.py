"""The operations on columns: add, rename, widen, make optional, describe, move, delete.

An operation names a column by its field id, as data files and readers do (Iceberg specification, "Schema Evolution" and
"Column Projection"). Operations are pure: each takes a table definition and returns another, or raises
OperationRefused. An operation that is already done returns the definition unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
)

from schemas.evolution.columns import (
    Fields,
    describe_position,
    fields_of,
    has_column,
    inserted,
    name_or_id,
    renamed_metrics_properties,
    siblings_of,
    type_of,
    unknown_column,
    with_changes,
    with_fields,
    with_type,
)
from schemas.evolution.errors import OperationRefused
from schemas.evolution.table_definition import TableDefinition
from schemas.sales_history import SCAN_COLUMNS

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class AddColumn:
    """Add an optional column.

    ``inside`` is the id of the struct column to add it to (default: the table itself). ``after`` is the id of a column
    of the same struct, or FIRST (default: at the end).
    """

    field_id: int
    name: str
    type: IcebergType
    doc: str | None = None
    inside: int | None = None
    after: int | None = None
    required: bool = False

    readers: ClassVar[str] = (
        "Existing rows read null. Readers of an older snapshot do not see the column. No file changes."
    )

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        inside = "" if self.inside is None else f" inside {name_or_id(table, self.inside)}"
        position = describe_position(table, self.after)
        return f"add the column {self.name} ({self.type}, id {self.field_id}){inside}{position}"

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the table with the column. Raises OperationRefused."""
        new = NestedField(self.field_id, self.name, self.type, required=False, doc=self.doc)
        action = f"Adding the column {self.name}"
        if self.required:
            raise OperationRefused(
                action,
                "it would be required, but existing rows have no value for it, and format version 2 has no default",
                "add it optional, fill it, and let the writer require it",
            )
        if has_column(table.schema, new):
            return table
        _check_name(table, action, self.inside, self.name)
        _check_new_ids(table, action, new)

        def insert(parent: int | None, fields: Fields) -> Fields:
            return inserted(fields, new, self.after, action) if parent == self.inside else fields

        return replace(table, schema=with_fields(table.schema, insert))


@dataclass(frozen=True)
class RenameColumn:
    """Give a column another name; its id stays."""

    column: int
    to: str

    readers: ClassVar[str] = (
        "Queries have to use the new name. Data files are read by id and stay. An older snapshot shows the old name."
    )

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        return f"rename the column {name_or_id(table, self.column)} to {self.to}"

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the table with the new name, also in its per-column metrics properties. Raises OperationRefused."""
        action = f"Renaming the column {name_or_id(table, self.column)}"
        parent, _ = siblings_of(table, self.column, action)
        _refuse_scan_column(table, self.column, action, "add a column with the new name beside it and write both")
        if table.schema.find_field(self.column).name == self.to:
            return table
        _check_name(table, action, parent, self.to)
        renamed = with_changes(table, self.column, name=self.to)
        return replace(renamed, properties=renamed_metrics_properties(table, renamed))


@dataclass(frozen=True)
class WidenColumn:
    """Give a column a type that holds every value of the old type."""

    column: int
    to: PrimitiveType

    readers: ClassVar[str] = "Values stay the same and read as the wider type. An older snapshot shows the old type."

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        return f"widen the column {name_or_id(table, self.column)} from {type_of(table, self.column)} to {self.to}"

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the table with the wider type.

        Raises OperationRefused unless the type promotion is allowed (Iceberg specification, "Schema Evolution").
        """
        action = f"Changing the type of {name_or_id(table, self.column)}"
        current = type_of(table, self.column)
        if current is None:
            raise unknown_column(action, self.column)
        if current == self.to:
            return table
        if not _is_promotion(current, self.to):
            raise OperationRefused(
                action,
                f"{current} can't become {self.to}: stored values may not fit, or may read differently (allowed are "
                "int to long, float to double, and more digits before the point of a decimal)",
                "add a column of the new type, write both, move the readers, then delete the old one",
            )
        if any(self.column == field.source_id for spec in (table.spec, *table.specs) for field in spec.fields):
            raise OperationRefused(
                action,
                "rows are partitioned by it, and not every engine reads partition values that were written with "
                "another type",
                "add a column of the wider type, and partition new data by that",
            )
        return replace(table, schema=with_type(table.schema, self.column, self.to))


@dataclass(frozen=True)
class MakeOptional:
    """Allow nulls in a column. This cannot be undone, because rows without a value may have been written."""

    column: int

    readers: ClassVar[str] = "Nothing changes until a row without a value is written. Then readers may see null."

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        return f"allow nulls in the column {name_or_id(table, self.column)}"

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the table with the column optional. Raises OperationRefused."""
        action = f"Making the column {name_or_id(table, self.column)} optional"
        siblings_of(table, self.column, action)
        _refuse_scan_column(
            table, self.column, action, "keep it required: a sale without it has no identity or partition"
        )
        return with_changes(table, self.column, required=False)


@dataclass(frozen=True)
class DescribeColumn:
    """Set a column's description."""

    column: int
    doc: str

    readers: ClassVar[str] = "Nothing changes except what a catalog shows."

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        return f"describe the column {name_or_id(table, self.column)} as “{self.doc}”"

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the table with the description. Raises OperationRefused."""
        siblings_of(table, self.column, f"Describing the column {name_or_id(table, self.column)}")
        return with_changes(table, self.column, doc=self.doc)


@dataclass(frozen=True)
class MoveColumn:
    """Move a column after another one of the same struct, or FIRST."""

    column: int
    after: int

    readers: ClassVar[str] = "SELECT * shows another order. Data files are read by id and stay."

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        return f"move the column {name_or_id(table, self.column)}{describe_position(table, self.after)}"

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the table with the column at its new position. Raises OperationRefused."""
        action = f"Moving the column {name_or_id(table, self.column)}"
        parent, siblings = siblings_of(table, self.column, action)
        moved = next(field for field in siblings if field.field_id == self.column)

        def move(struct: int | None, fields: Fields) -> Fields:
            if struct != parent:
                return fields
            return inserted([field for field in fields if field.field_id != self.column], moved, self.after, action)

        return replace(table, schema=with_fields(table.schema, move))


@dataclass(frozen=True)
class DeleteColumn:
    """Delete a column. Its id is never used again."""

    column: int

    readers: ClassVar[str] = (
        "Queries that name it fail. Its values stay in the data files, and older snapshots show them while they are "
        "kept. Writers that still have values for it keep their events waiting."
    )

    def describe(self, table: TableDefinition) -> str:
        """Return the operation in words."""
        return f"delete the column {name_or_id(table, self.column)}"

    def apply(self, table: TableDefinition) -> TableDefinition:
        """Return the table without the column. Raises OperationRefused."""
        action = f"Deleting the column {name_or_id(table, self.column)}"
        if table.name_of(self.column) is None and any(self.column in schema.field_ids for schema in table.schemas):
            return table
        _, siblings = siblings_of(table, self.column, action)
        deleted = _ids_of(next(field for field in siblings if field.field_id == self.column))
        self._check(table, action, deleted, alone=len(siblings) == 1)

        def delete(_: int | None, fields: Fields) -> Fields:
            return [field for field in fields if field.field_id != self.column]

        remaining = replace(table, schema=with_fields(table.schema, delete))
        return replace(remaining, properties=renamed_metrics_properties(table, remaining))

    def _check(self, table: TableDefinition, action: str, deleted: set[int], *, alone: bool) -> None:
        _refuse_scan_column(table, self.column, action, "keep it: the writer finds a sale's row by it")
        if any(field.source_id in deleted for spec in (table.spec, *table.specs) for field in spec.fields):
            raise OperationRefused(
                action,
                "a partition field is derived from it, for new or for existing data, and readers need it to plan scans "
                "over that data",
                "keep the column, and remove the partition field if new data should not be partitioned by it",
            )
        if any(field.source_id in deleted for field in table.sort_order.fields):
            raise OperationRefused(action, "the sort order uses it", "set another sort order first")
        if deleted & set(table.schema.identifier_field_ids):
            raise OperationRefused(action, "it identifies a row", "change the identifier fields first")
        if alone:
            raise OperationRefused(action, "its struct would be empty", "delete the struct that contains it")


ColumnOperation = AddColumn | RenameColumn | WidenColumn | MakeOptional | DescribeColumn | MoveColumn | DeleteColumn


def _check_name(table: TableDefinition, action: str, parent: int | None, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise OperationRefused(
            action,
            f"{name!r} does not consist of lower-case letters, digits and underscores; Athena and Glue only know "
            "lower-case names",
            "choose such a name",
        )
    if any(field.name.lower() == name for field in fields_of(table, parent, action)):
        raise OperationRefused(
            action, f"there is a column {name} already", "choose another name, or rename that column first"
        )


def _check_new_ids(table: TableDefinition, action: str, new: NestedField) -> None:
    ids = _ids_of(new)
    used = {field_id: schema for schema in (*table.schemas, table.schema) for field_id in ids & set(schema.field_ids)}
    next_id = table.highest_field_id + 1
    if used:
        taken, schema = next(iter(used.items()))
        reason = (
            f"the id {taken} is or was the column {schema.find_column_name(taken)} (schema {schema.schema_id}), and "
            "files that hold its values would show them under the new name"
        )
    elif min(ids) < next_id:
        reason = (
            f"the id {min(ids)} is below the highest id that the table ever assigned ({next_id - 1}), so it may have "
            "belonged to another column"
        )
    else:
        return
    raise OperationRefused(action, reason, f"use an id that was never assigned: {next_id} is the next")


def _refuse_scan_column(table: TableDefinition, column: int, action: str, alternative: str) -> None:
    if column in SCAN_COLUMNS:
        raise OperationRefused(action, "running writers look up a sale's row by the name of this column", alternative)


def _is_promotion(current: IcebergType, wider: PrimitiveType) -> bool:
    if isinstance(current, DecimalType) and isinstance(wider, DecimalType):
        return current.scale == wider.scale and current.precision <= wider.precision
    promotions = ((IntegerType, LongType), (FloatType, DoubleType))
    return any(isinstance(current, narrow) and isinstance(wider, wide) for narrow, wide in promotions)


def _ids_of(field: NestedField) -> set[int]:
    """Return the ids of a field and of everything inside it."""
    return set(Schema(field).field_ids)
