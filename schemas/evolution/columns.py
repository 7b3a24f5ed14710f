"""Changes inside a schema's tree of columns, by field id. Pure: each returns a new schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, PrimitiveType, StructType

Fields = list[NestedField]
EditFields = Callable[[int | None, Fields], Fields]
"""Gets the id of the column that a struct is of (None: the table itself) and its fields; returns the new fields."""


def with_fields(schema: Schema, edit: EditFields) -> Schema:
    """Return the schema with the fields of every struct edited, inner structs first."""

    def of_type(owner: int | None, kind: IcebergType) -> IcebergType:
        if isinstance(kind, StructType):
            return StructType(*edit(owner, [of_field(one) for one in kind.fields]))
        return _rebuilt(kind, of_type)

    def of_field(one: NestedField) -> NestedField:
        return changed(one, field_type=of_type(one.field_id, one.field_type))

    return _like(schema, edit(None, [of_field(one) for one in schema.fields]))


def with_type(schema: Schema, field_id: int, new_type: PrimitiveType) -> Schema:
    """Return the schema with another primitive type for a column, or for an element, key or value."""

    def of_type(owner: int | None, kind: IcebergType) -> IcebergType:
        if owner == field_id and isinstance(kind, PrimitiveType):
            return new_type
        if isinstance(kind, StructType):
            return StructType(*(changed(one, field_type=of_type(one.field_id, one.field_type)) for one in kind.fields))
        return _rebuilt(kind, of_type)

    fields = [changed(one, field_type=of_type(one.field_id, one.field_type)) for one in schema.fields]
    return _like(schema, fields)


def changed(one: NestedField, **changes: Any) -> NestedField:
    """Return the field with these changes."""
    values: dict[str, Any] = {
        "field_id": one.field_id,
        "name": one.name,
        "field_type": one.field_type,
        "required": one.required,
        "doc": one.doc,
        "initial_default": one.initial_default,
        "write_default": one.write_default,
    }
    return NestedField(**{**values, **changes})


def siblings(schema: Schema, field_id: int) -> tuple[int | None, Fields]:
    """Return the owner of the struct that a field stands in, and the struct's fields.

    Raises KeyError for what is no field of a struct: an element of a list, a key, a value, an unknown id.
    """
    found: list[tuple[int | None, Fields]] = []

    def look(owner: int | None, fields: Fields) -> Fields:
        if any(one.field_id == field_id for one in fields):
            found.append((owner, fields))
        return fields

    with_fields(schema, look)
    if not found:
        raise KeyError(field_id)
    return found[0]


def _rebuilt(kind: IcebergType, of_type: Callable[[int | None, IcebergType], IcebergType]) -> IcebergType:
    if isinstance(kind, ListType):
        element = of_type(kind.element_id, kind.element_type)
        return ListType(element_id=kind.element_id, element=element, element_required=kind.element_required)
    if isinstance(kind, MapType):
        return MapType(
            key_id=kind.key_id,
            key_type=of_type(kind.key_id, kind.key_type),
            value_id=kind.value_id,
            value_type=of_type(kind.value_id, kind.value_type),
            value_required=kind.value_required,
        )
    return kind


def _like(schema: Schema, fields: Fields) -> Schema:
    return Schema(*fields, schema_id=schema.schema_id, identifier_field_ids=list(schema.identifier_field_ids))
