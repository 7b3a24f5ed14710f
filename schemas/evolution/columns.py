"""Finds, edits and names the columns of a table by field id, at any depth. Pure: edits return a new value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, PrimitiveType, StructType

from schemas.evolution.errors import OperationRefused
from schemas.evolution.table_definition import TableDefinition

Fields = list[NestedField]
EditFields = Callable[[int | None, Fields], Fields]
"""Receives the id of the column that holds a struct (None for the table itself) and its fields; returns new fields."""

_EditType = Callable[[int | None, IcebergType], IcebergType]

FIRST: Final = 0
"""As ``after``: before all other columns."""

_METRICS_PREFIX: Final = "write.metadata.metrics.column."


def with_fields(schema: Schema, edit: EditFields) -> Schema:
    """Return the schema with the fields of every struct edited, inner structs first."""

    def edit_type(parent: int | None, type_: IcebergType) -> IcebergType:
        return StructType(*edit(parent, list(type_.fields))) if isinstance(type_, StructType) else type_

    return _edited(schema, edit_type)


def with_type(schema: Schema, field_id: int, new_type: PrimitiveType) -> Schema:
    """Return the schema with another primitive type for a column, list element, map key or map value."""

    def edit_type(parent: int | None, type_: IcebergType) -> IcebergType:
        return new_type if parent == field_id and isinstance(type_, PrimitiveType) else type_

    return _edited(schema, edit_type)


def with_changes(table: TableDefinition, column: int, **changes: object) -> TableDefinition:
    """Return the table with attributes of a column's field replaced."""

    def edit(_: int | None, fields: Fields) -> Fields:
        return [changed(field, **changes) if field.field_id == column else field for field in fields]

    return replace(table, schema=with_fields(table.schema, edit))


def changed(field: NestedField, **changes: Any) -> NestedField:
    """Return the field with these attributes replaced."""
    attributes = ("field_id", "name", "field_type", "required", "doc", "initial_default", "write_default")
    return NestedField(**{**{name: getattr(field, name) for name in attributes}, **changes})


def siblings_of(table: TableDefinition, column: int, action: str) -> tuple[int | None, Fields]:
    """Return the parent and all fields of the struct that contains a column.

    Raises OperationRefused for an unknown id, and for a list element, map key or map value.
    """
    for parent, fields in _structs(table.schema).items():
        if any(field.field_id == column for field in fields):
            return parent, fields
    raise unknown_column(action, column)


def fields_of(table: TableDefinition, parent: int | None, action: str) -> Fields:
    """Return the fields of the struct column ``parent`` (None for the table itself). Raises OperationRefused."""
    structs = _structs(table.schema)
    if parent not in structs:
        raise OperationRefused(action, f"the id {parent} is no struct of this table", "name the id of a struct")
    return structs[parent]


def inserted(fields: Fields, new: NestedField, after: int | None, action: str) -> Fields:
    """Return the fields with a new one: at the end (None), FIRST, or after a sibling.

    Raises OperationRefused if ``after`` is not a sibling.
    """
    if after is None:
        return [*fields, new]
    if after == FIRST:
        return [new, *fields]
    position = next((index for index, field in enumerate(fields, start=1) if field.field_id == after), None)
    if position is None:
        raise OperationRefused(
            action,
            f"it cannot go after the id {after}, which is not in the same struct",
            "name a column of that struct",
        )
    return [*fields[:position], new, *fields[position:]]


def has_column(schema: Schema, column: NestedField) -> bool:
    """Whether the schema has a field of this id, name, type and optionality in one of its structs."""
    return any(
        (field.field_id, field.name, field.field_type, field.required)
        == (column.field_id, column.name, column.field_type, column.required)
        for fields in _structs(schema).values()
        for field in fields
    )


def renamed_metrics_properties(before: TableDefinition, after: TableDefinition) -> dict[str, str]:
    """Return the properties with per-column metrics settings under the columns' new names, without deleted columns."""
    properties: dict[str, str] = {}
    for name, value in before.properties.items():
        column = name.removeprefix(_METRICS_PREFIX)
        if column == name or column not in before.schema.column_names:
            properties[name] = value
        elif new_name := after.name_of(before.schema.find_field(column).field_id):
            properties[f"{_METRICS_PREFIX}{new_name}"] = value
    return properties


def type_of(table: TableDefinition, column: int) -> IcebergType | None:
    """Return a column's type; None for a struct or an unknown id."""
    if table.name_of(column) is None:
        return None
    type_ = table.schema.find_field(column).field_type
    return None if isinstance(type_, StructType) else type_


def name_or_id(table: TableDefinition, column: int) -> str:
    """Return a column's name for messages, or its id if the table has no such column."""
    return table.name_of(column) or f"with id {column}"


def describe_position(table: TableDefinition, after: int | None) -> str:
    """Return the words for a column's position, starting with a space; empty for the end."""
    if after is None:
        return ""
    return " before all others" if after == FIRST else f" after {name_or_id(table, after)}"


def unknown_column(action: str, column: int) -> OperationRefused:
    """Return the error for an id that is not a column; the caller raises it."""
    return OperationRefused(
        action,
        f"the table has no such column with the id {column}",
        "look up the ids: carousel-sync evolve status --json",
    )


def _structs(schema: Schema) -> dict[int | None, Fields]:
    """Return the fields of every struct by the id of the column that holds it; None is the table itself."""
    structs: dict[int | None, Fields] = {None: list(schema.fields)}
    for field_id in schema.field_ids:
        type_ = schema.find_field(field_id).field_type
        if isinstance(type_, StructType):
            structs[field_id] = list(type_.fields)
    return structs


def _edited(schema: Schema, edit: _EditType) -> Schema:
    struct = cast("StructType", _edited_type(None, schema.as_struct(), edit))
    return Schema(*struct.fields, schema_id=schema.schema_id, identifier_field_ids=list(schema.identifier_field_ids))


def _edited_type(parent: int | None, type_: IcebergType, edit: _EditType) -> IcebergType:
    """Return the type with the types inside it edited first, then itself."""
    if isinstance(type_, StructType):
        type_ = StructType(
            *(changed(field, field_type=_edited_type(field.field_id, field.field_type, edit)) for field in type_.fields)
        )
    elif isinstance(type_, ListType):
        element = _edited_type(type_.element_id, type_.element_type, edit)
        type_ = ListType(element_id=type_.element_id, element=element, element_required=type_.element_required)
    elif isinstance(type_, MapType):
        type_ = MapType(
            key_id=type_.key_id,
            key_type=_edited_type(type_.key_id, type_.key_type, edit),
            value_id=type_.value_id,
            value_type=_edited_type(type_.value_id, type_.value_type, edit),
            value_required=type_.value_required,
        )
    return edit(parent, type_)
