"""The operations on columns: add, rename, widen, make optional, describe, move, delete."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, IcebergType, NestedField, PrimitiveType, StructType

from schemas.evolution import columns
from schemas.evolution.columns import name_or_id
from schemas.evolution.errors import OperationRefused
from schemas.evolution.operation import Operation
from schemas.evolution.table_definition import TableDefinition
from schemas.sales_history import SCAN_COLUMNS

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class AddColumn(Operation):
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

    def _words(self, table: TableDefinition) -> str:
        inside = "" if self.inside is None else f" inside {name_or_id(table, self.inside)}"
        position = columns.describe_position(table, self.after)
        return f"add the column {self.name} ({self.type}, id {self.field_id}){inside}{position}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        if self.required:
            raise OperationRefused(
                "it would be required, but existing rows have no value for it, and format version 2 has no default",
                "add it optional, fill it, and let the writer require it",
            )
        new = NestedField(self.field_id, self.name, self.type, required=False, doc=self.doc)
        structs = columns.structs_of(table.schema)
        if any(field.model_copy(update={"doc": self.doc}) == new for fields in structs.values() for field in fields):
            return table
        if self.inside not in structs:
            raise OperationRefused(f"the id {self.inside} is no struct of this table", "name the id of a struct")
        _check_name(structs[self.inside], self.name)
        _check_new_ids(table, new)
        return columns.with_fields(table, self.inside, columns.inserted(structs[self.inside], new, self.after))


@dataclass(frozen=True)
class RenameColumn(Operation):
    """Give a column another name; its id stays."""

    column: int
    to: str
    readers: ClassVar[str] = (
        "Queries have to use the new name. Data files are read by id and stay. An older snapshot shows the old name."
    )

    def _words(self, table: TableDefinition) -> str:
        return f"rename the column {name_or_id(table, self.column)} to {self.to}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        _, siblings = columns.siblings_of(table, self.column)
        _refuse_scan_column(self.column, "add a column with the new name beside it and write both")
        if table.schema.find_field(self.column).name == self.to:
            return table
        _check_name(siblings, self.to)
        return columns.with_changes(table, self.column, name=self.to)


@dataclass(frozen=True)
class WidenColumn(Operation):
    """Give a column a type that holds every value of the old type (Iceberg specification, "Schema Evolution")."""

    column: int
    to: PrimitiveType
    readers: ClassVar[str] = "Values stay the same and read as the wider type. An older snapshot shows the old type."

    def _words(self, table: TableDefinition) -> str:
        return f"widen the column {name_or_id(table, self.column)} from {self._current(table)} to {self.to}"

    def _current(self, table: TableDefinition) -> IcebergType | None:
        return None if table.name_of(self.column) is None else table.schema.find_field(self.column).field_type

    def _applied(self, table: TableDefinition) -> TableDefinition:
        current = self._current(table)
        if current is None or isinstance(current, StructType):
            raise columns.unknown_column(self.column)
        if current == self.to:
            return table
        if not _is_promotion(current, self.to):
            raise OperationRefused(
                f"{current} can't become {self.to}: stored values may not fit, or may read differently (allowed are "
                "int to long, float to double, and more digits before the point of a decimal)",
                "add a column of the new type, write both, move the readers, then delete the old one",
            )
        if any(field.source_id == self.column for field in table.partition_fields):
            raise OperationRefused(
                "rows are partitioned by it, and not every engine reads partition values that were written with "
                "another type",
                "add a column of the wider type, and partition new data by that",
            )
        return replace(table, schema=columns.with_type(table.schema, self.column, self.to))


@dataclass(frozen=True)
class MakeOptional(Operation):
    """Allow nulls in a column. This cannot be undone, because rows without a value may have been written."""

    column: int
    readers: ClassVar[str] = "Nothing changes until a row without a value is written. Then readers may see null."

    def _words(self, table: TableDefinition) -> str:
        return f"allow nulls in the column {name_or_id(table, self.column)}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        _refuse_scan_column(self.column, "keep it required: a sale without it has no identity or partition")
        return columns.with_changes(table, self.column, required=False)


@dataclass(frozen=True)
class DescribeColumn(Operation):
    """Set a column's description."""

    column: int
    doc: str
    readers: ClassVar[str] = "Nothing changes except what a catalog shows."

    def _words(self, table: TableDefinition) -> str:
        return f"describe the column {name_or_id(table, self.column)} as “{self.doc}”"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        return columns.with_changes(table, self.column, doc=self.doc)


@dataclass(frozen=True)
class MoveColumn(Operation):
    """Move a column after another one of the same struct, or FIRST."""

    column: int
    after: int
    readers: ClassVar[str] = "SELECT * shows another order. Data files are read by id and stay."

    def _words(self, table: TableDefinition) -> str:
        return f"move the column {name_or_id(table, self.column)}{columns.describe_position(table, self.after)}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        parent, siblings = columns.siblings_of(table, self.column)
        others = [field for field in siblings if field.field_id != self.column]
        moved = table.schema.find_field(self.column)
        return columns.with_fields(table, parent, columns.inserted(others, moved, self.after))


@dataclass(frozen=True)
class DeleteColumn(Operation):
    """Delete a column. Its id is never used again."""

    column: int
    readers: ClassVar[str] = (
        "Queries that name it fail. Its values stay in the data files, and older snapshots show them while they are "
        "kept. Writers that still have values for it keep their events waiting."
    )

    def _words(self, table: TableDefinition) -> str:
        return f"delete the column {name_or_id(table, self.column)}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        if table.name_of(self.column) is None and any(self.column in schema.field_ids for schema in table.schemas):
            return table
        parent, siblings = columns.siblings_of(table, self.column)
        _refuse_scan_column(self.column, "keep it: the writer finds a sale's row by it")
        remaining = [field for field in siblings if field.field_id != self.column]
        deleted = _ids_of(table.schema.find_field(self.column))
        if any(field.source_id in deleted for field in table.partition_fields):
            raise OperationRefused(
                "a partition field is derived from it, for new or for existing data, and readers need it to plan scans "
                "over that data",
                "keep the column, and remove the partition field if new data should not be partitioned by it",
            )
        if any(field.source_id in deleted for field in table.sort_order.fields):
            raise OperationRefused("the sort order uses it", "set another sort order first")
        if deleted & set(table.schema.identifier_field_ids):
            raise OperationRefused("it identifies a row", "change the identifier fields first")
        if not remaining:
            raise OperationRefused("its struct would be empty", "delete the struct that contains it")
        return columns.with_fields(table, parent, remaining)


def _check_name(siblings: columns.Fields, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise OperationRefused(
            f"{name!r} does not consist of lower-case letters, digits and underscores; Athena and Glue only know "
            "lower-case names",
            "choose such a name",
        )
    if any(field.name.lower() == name for field in siblings):
        raise OperationRefused(f"there is a column {name} already", "choose another name, or rename that column first")


def _check_new_ids(table: TableDefinition, new: NestedField) -> None:
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
    raise OperationRefused(reason, f"use an id that was never assigned: {next_id} is the next")


def _refuse_scan_column(column: int, alternative: str) -> None:
    if column in SCAN_COLUMNS:
        raise OperationRefused("running writers look up a sale's row by the name of this column", alternative)


def _is_promotion(current: IcebergType, wider: PrimitiveType) -> bool:
    if isinstance(current, DecimalType) and isinstance(wider, DecimalType):
        return current.scale == wider.scale and current.precision <= wider.precision
    return (str(current), str(wider)) in {("int", "long"), ("float", "double")}


def _ids_of(field: NestedField) -> set[int]:
    """Return the ids of a field and of everything inside it."""
    return set(Schema(field).field_ids)
