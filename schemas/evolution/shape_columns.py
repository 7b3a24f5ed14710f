"""A shape's columns, looked up and edited by their field id, and named for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, NestedField, StructType

from schemas.evolution.columns import Fields, changed, siblings, with_fields
from schemas.evolution.refusal import Refused
from schemas.evolution.shape import TableShape

FIRST: Final = 0
"""Given as ``after``: before all others."""

_METRICS_PREFIX: Final = "write.metadata.metrics.column."


def siblings_of(shape: TableShape, column: int, what: str) -> tuple[int | None, Fields]:
    """Return the owner of the struct that a column stands in, and the struct's fields. Raises Refused for no column."""
    try:
        return siblings(shape.schema, column)
    except KeyError:
        raise unknown_column(what, column) from None


def level_of(shape: TableShape, inside: int | None, what: str) -> Fields:
    """Return the fields of the struct that is the column ``inside``; None is the table itself. Raises Refused."""
    levels: dict[int | None, Fields] = {}

    def look(owner: int | None, fields: Fields) -> Fields:
        levels[owner] = fields
        return fields

    with_fields(shape.schema, look)
    if inside not in levels:
        raise Refused(what, f"the id {inside} is no struct of this table", "name the id of a struct")
    return levels[inside]


def placed(fields: Fields, one: NestedField, after: int | None, what: str) -> Fields:
    """Return the fields with one more: at the end, FIRST, or after a sibling. Raises Refused when that is none."""
    if after is None:
        return [*fields, one]
    if after == FIRST:
        return [one, *fields]
    position = next((number for number, other in enumerate(fields) if other.field_id == after), None)
    if position is None:
        raise Refused(
            what, f"the id {after}, after which it should stand, is not beside it", "name a column of the same struct"
        )
    return [*fields[: position + 1], one, *fields[position + 1 :]]


def with_changes(shape: TableShape, column: int, **changes: object) -> TableShape:
    """Return the shape with these changes of a column's field."""

    def edit(_: int | None, level: Fields) -> Fields:
        return [changed(one, **changes) if one.field_id == column else one for one in level]

    return replace(shape, schema=with_fields(shape.schema, edit))


def is_there(schema: Schema, new: NestedField) -> bool:
    """Whether the schema has a column of this id, name and type already, and it is optional."""
    try:
        _, fields = siblings(schema, new.field_id)
    except KeyError:
        return False
    present = next(one for one in fields if one.field_id == new.field_id)
    return (present.name, present.field_type, present.required) == (new.name, new.field_type, False)


def following_properties(before: TableShape, after: TableShape) -> dict[str, str]:
    """Return the properties with the columns' new names in those that tell how statistics are kept."""
    properties: dict[str, str] = {}
    for name, value in before.properties.items():
        column = _find(before.schema, name.removeprefix(_METRICS_PREFIX)) if name.startswith(_METRICS_PREFIX) else None
        if column is None:
            properties[name] = value
        elif (new_name := after.name_of(column.field_id)) is not None:
            properties[f"{_METRICS_PREFIX}{new_name}"] = value
    return properties


def _find(schema: Schema, name: str) -> NestedField | None:
    try:
        return schema.find_field(name)
    except ValueError:
        return None


def ids_of(one: NestedField) -> set[int]:
    """Return the ids of a field and of everything inside it."""
    return set(Schema(one).field_ids)


def type_of(shape: TableShape, column: int) -> IcebergType | None:
    """Return a column's type; None for a struct, and for what is no column."""
    if shape.name_of(column) is None:
        return None
    found = shape.schema.find_field(column).field_type
    return None if isinstance(found, StructType) else found


def name_or_id(shape: TableShape, column: int) -> str:
    """Name a column for a person."""
    return shape.name_of(column) or f"with id {column}"


def place_in_words(shape: TableShape, after: int | None) -> str:
    """Say where ``after`` puts a column."""
    if after is None:
        return ""
    return " before all others" if after == FIRST else f" after {name_or_id(shape, after)}"


def unknown_column(what: str, column: int) -> Refused:
    """Say for a person that there is no such column; the caller raises it."""
    return Refused(
        what,
        f"the table has no such column with the id {column}",
        "look at the ids: carousel-sync evolve status --json",
    )
