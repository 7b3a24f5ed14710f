"""Finds, edits and names the columns of a table by field id, at any depth. Pure: edits return a new value."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from schemas.evolution.errors import OperationRefused
from schemas.evolution.table_definition import TableDefinition

Fields = list[NestedField]

FIRST: Final = 0
"""As ``after``: before all other columns."""

_METRICS_PREFIX: Final = "write.metadata.metrics.column."


def with_type(schema: Schema, column: int | None, new_type: IcebergType) -> Schema:
    """Return the schema with another type for a column, element, key or value (None: the struct of all columns)."""

    def edited(field_id: int | None, type_: IcebergType) -> IcebergType:
        if field_id == column:
            return new_type
        if isinstance(type_, StructType):
            types = {field.field_id: edited(field.field_id, field.field_type) for field in type_.fields}
            return StructType(
                *(field.model_copy(update={"field_type": types[field.field_id]}) for field in type_.fields)
            )
        if isinstance(type_, ListType):
            element = edited(type_.element_id, type_.element_type)
            return ListType(type_.element_id, element, type_.element_required)
        if isinstance(type_, MapType):
            key, value = edited(type_.key_id, type_.key_type), edited(type_.value_id, type_.value_type)
            return MapType(type_.key_id, key, type_.value_id, value, type_.value_required)
        return type_

    struct = cast("StructType", edited(None, schema.as_struct()))
    return Schema(*struct.fields, schema_id=schema.schema_id, identifier_field_ids=list(schema.identifier_field_ids))


def with_fields(table: TableDefinition, parent: int | None, fields: Fields) -> TableDefinition:
    """Return the table with other fields in the struct column ``parent`` (None for the table itself).

    Per-column metrics properties follow renamed columns, and those of deleted columns are removed.
    """
    schema = with_type(table.schema, parent, StructType(*fields))
    properties: dict[str, str] = {}
    for name, value in table.properties.items():
        column = name.removeprefix(_METRICS_PREFIX)
        if column == name or column not in table.schema.column_names:
            properties[name] = value
        elif new_name := schema.find_column_name(table.schema.find_field(column).field_id):
            properties[f"{_METRICS_PREFIX}{new_name}"] = value
    return replace(table, schema=schema, properties=properties)


def with_changes(table: TableDefinition, column: int, **changes: object) -> TableDefinition:
    """Return the table with attributes of a column's field replaced. Raises OperationRefused as siblings_of does."""
    parent, fields = siblings_of(table, column)
    changed = [field.model_copy(update=changes) if field.field_id == column else field for field in fields]
    return with_fields(table, parent, changed)


def siblings_of(table: TableDefinition, column: int) -> tuple[int | None, Fields]:
    """Return the parent and all fields of the struct that contains a column.

    Raises OperationRefused for an unknown id, and for a list element, map key or map value.
    """
    for parent, fields in structs_of(table.schema).items():
        if any(field.field_id == column for field in fields):
            return parent, fields
    raise unknown_column(column)


def structs_of(schema: Schema) -> dict[int | None, Fields]:
    """Return the fields of every struct by the id of the column that holds it; None is the table itself."""
    types: dict[int | None, IcebergType] = {None: schema.as_struct()}
    types |= {field_id: schema.find_field(field_id).field_type for field_id in schema.field_ids}
    return {field_id: list(type_.fields) for field_id, type_ in types.items() if isinstance(type_, StructType)}


def inserted(fields: Fields, new: NestedField, after: int | None) -> Fields:
    """Return the fields with a new one: at the end (None), FIRST, or after a sibling.

    Raises OperationRefused if ``after`` is not a sibling.
    """
    if after is None:
        return [*fields, new]
    ids = [FIRST, *(field.field_id for field in fields)]
    if after not in ids:
        raise OperationRefused(
            f"it cannot go after the id {after}, which is not in the same struct", "name a column of that struct"
        )
    position = ids.index(after)
    return [*fields[:position], new, *fields[position:]]


def name_or_id(table: TableDefinition, column: int) -> str:
    """Return a column's name for messages, or its id if the table has no such column."""
    return table.name_of(column) or f"with id {column}"


def describe_position(table: TableDefinition, after: int | None) -> str:
    """Return the words for a column's position, starting with a space; empty for the end."""
    if after is None:
        return ""
    return " before all others" if after == FIRST else f" after {name_or_id(table, after)}"


def unknown_column(column: int) -> OperationRefused:
    """Return the error for an id that is not a column; the caller raises it."""
    reason = f"the table has no such column with the id {column}"
    return OperationRefused(reason, "look up the ids: carousel-sync evolve status --json")
