"""The operations on columns: add, rename, widen, make optional, describe, move, delete.

Columns are named by their field id, which is what data files and readers go by (Iceberg specification, "Schema
Evolution" and "Column Projection"). Each operation is pure: it takes a shape and returns another, or raises Refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Final

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

from schemas.evolution.columns import Fields, changed, with_fields, with_type
from schemas.evolution.refusal import Refused
from schemas.evolution.shape import TableShape
from schemas.evolution.shape_columns import (
    following_properties,
    ids_of,
    is_there,
    level_of,
    name_or_id,
    place_in_words,
    placed,
    siblings_of,
    type_of,
    unknown_column,
    with_changes,
)
from schemas.sales_history import SCAN_COLUMNS

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class AddColumn:
    """Add an optional column. ``inside`` is the id of the struct that it goes into; ``after`` a sibling, or FIRST."""

    field_id: int
    name: str
    type: IcebergType
    doc: str | None = None
    inside: int | None = None
    after: int | None = None
    required: bool = False

    readers: ClassVar[str] = (
        "Rows that exist read null. Who reads an older snapshot does not see the column. No file changes."
    )

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        where = "" if self.inside is None else f" inside {name_or_id(shape, self.inside)}"
        return f"add the column {self.name} ({self.type}, id {self.field_id}){where}{place_in_words(shape, self.after)}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the column. One that is there already, just so, is left as it is."""
        new = NestedField(self.field_id, self.name, self.type, required=False, doc=self.doc)
        what = f"Adding the column {self.name}"
        if self.required:
            raise Refused(
                what,
                "it would be required, the rows that exist have no value for it, and format version 2 has no default",
                "add it optional, fill it, and let the writer demand it",
            )
        if is_there(shape.schema, new):
            return shape
        _check_name(shape, what, self.inside, self.name)
        _check_new_ids(shape, what, new)

        def insert(owner: int | None, fields: Fields) -> Fields:
            return placed(fields, new, self.after, what) if owner == self.inside else fields

        return replace(shape, schema=with_fields(shape.schema, insert))


@dataclass(frozen=True)
class RenameColumn:
    """Give a column another name; its id stays."""

    column: int
    to: str

    readers: ClassVar[str] = (
        "Queries have to use the new name; data files are found by id and stay. An older snapshot shows the old name."
    )

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        return f"rename the column {name_or_id(shape, self.column)} to {self.to}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the new name, also in the properties that tell how statistics are kept."""
        what = f"Renaming the column {name_or_id(shape, self.column)}"
        owner, fields = siblings_of(shape, self.column, what)
        _refuse_scan_column(shape, self.column, what, "add a column with the new name beside it and write both")
        if any(one.field_id == self.column and one.name == self.to for one in fields):
            return shape
        _check_name(shape, what, owner, self.to)

        def rename(_: int | None, level: Fields) -> Fields:
            return [changed(one, name=self.to) if one.field_id == self.column else one for one in level]

        renamed = replace(shape, schema=with_fields(shape.schema, rename))
        return replace(renamed, properties=following_properties(shape, renamed))


@dataclass(frozen=True)
class WidenColumn:
    """Give a column a type that holds every value of the old one."""

    column: int
    to: PrimitiveType

    readers: ClassVar[str] = "Values stay the same and read as the wider type. An older snapshot shows the old type."

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        return f"widen the column {name_or_id(shape, self.column)} from {type_of(shape, self.column)} to {self.to}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the wider type (Iceberg specification, "Schema Evolution": the allowed promotions)."""
        what = f"Changing the type of {name_or_id(shape, self.column)}"
        present = type_of(shape, self.column)
        if present is None:
            raise unknown_column(what, self.column)
        if present == self.to:
            return shape
        if not _holds_all(present, self.to):
            raise Refused(
                what,
                f"{present} can't become {self.to}: values that are stored already may not fit, or read differently "
                "(allowed are int to long, float to double, and more digits before the point of a decimal)",
                "add a column of the new type, write both, move the readers, then delete the old one",
            )
        if any(self.column == one.source_id for spec in (shape.spec, *shape.specs) for one in spec.fields):
            raise Refused(
                what,
                "rows are partitioned by it, and not every engine reads partition values that were written with "
                "another type",
                "add a column of the wider type, and partition new data by that",
            )
        return replace(shape, schema=with_type(shape.schema, self.column, self.to))


@dataclass(frozen=True)
class MakeOptional:
    """Let a column be null."""

    column: int

    readers: ClassVar[str] = (
        "Nothing changes until a row without a value is written; from then on readers may meet null."
    )

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        return f"let the column {name_or_id(shape, self.column)} be null"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the column optional. There is no way back: rows without a value may have come."""
        what = f"Making the column {name_or_id(shape, self.column)} optional"
        siblings_of(shape, self.column, what)
        _refuse_scan_column(
            shape, self.column, what, "keep it required: a sale without it has no identity or partition"
        )
        return with_changes(shape, self.column, required=False)


@dataclass(frozen=True)
class DescribeColumn:
    """Give a column another description."""

    column: int
    doc: str

    readers: ClassVar[str] = "Nothing changes but what a catalog shows."

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        return f"describe the column {name_or_id(shape, self.column)} as “{self.doc}”"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the description."""
        siblings_of(shape, self.column, f"Describing the column {name_or_id(shape, self.column)}")
        return with_changes(shape, self.column, doc=self.doc)


@dataclass(frozen=True)
class MoveColumn:
    """Put a column after another one of the same struct, or FIRST."""

    column: int
    after: int

    readers: ClassVar[str] = "SELECT * shows another order. Files are found by id and stay."

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        return f"move the column {name_or_id(shape, self.column)}{place_in_words(shape, self.after)}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the column at its new place."""
        what = f"Moving the column {name_or_id(shape, self.column)}"
        owner, fields = siblings_of(shape, self.column, what)
        moved = next(one for one in fields if one.field_id == self.column)

        def move(level_owner: int | None, level: Fields) -> Fields:
            if level_owner != owner:
                return level
            return placed([one for one in level if one.field_id != self.column], moved, self.after, what)

        return replace(shape, schema=with_fields(shape.schema, move))


@dataclass(frozen=True)
class DeleteColumn:
    """Take a column away. Its id is never given again."""

    column: int

    readers: ClassVar[str] = (
        "Queries that name it fail. Its values stay in the files, and an older snapshot shows them, as long as it is "
        "kept. Writers that still have values for it keep their events waiting."
    )

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        return f"delete the column {name_or_id(shape, self.column)}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape without the column; one that is gone already is left so."""
        what = f"Deleting the column {name_or_id(shape, self.column)}"
        if shape.name_of(self.column) is None and any(self.column in one.field_ids for one in shape.schemas):
            return shape
        _, fields = siblings_of(shape, self.column, what)
        gone = ids_of(next(one for one in fields if one.field_id == self.column))
        self._check(shape, what, gone, alone=len(fields) == 1)

        def delete(_: int | None, level: Fields) -> Fields:
            return [one for one in level if one.field_id != self.column]

        left = replace(shape, schema=with_fields(shape.schema, delete))
        return replace(left, properties=following_properties(shape, left))

    def _check(self, shape: TableShape, what: str, gone: set[int], alone: bool) -> None:
        _refuse_scan_column(shape, self.column, what, "keep it: the writer finds a sale's row by it")
        if any(one.source_id in gone for spec in (shape.spec, *shape.specs) for one in spec.fields):
            raise Refused(
                what,
                "a partition field is made from it, now or for data that was written earlier, and whoever plans a "
                "scan over that data needs it",
                "keep the column, and remove the partition field if new data should not be partitioned by it",
            )
        if any(one.source_id in gone for one in shape.sort_order.fields):
            raise Refused(what, "the sort order uses it", "set another sort order first")
        if gone & set(shape.schema.identifier_field_ids):
            raise Refused(what, "it identifies a row", "change the identifier fields first")
        if alone:
            raise Refused(what, "nothing would be left beside it", "delete what it stands in")


ColumnOperation = AddColumn | RenameColumn | WidenColumn | MakeOptional | DescribeColumn | MoveColumn | DeleteColumn


def _check_name(shape: TableShape, what: str, inside: int | None, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refused(
            what,
            f"{name!r} is not made of lower-case letters, digits and underscores; Athena and Glue know names in lower "
            "case only",
            "choose such a name",
        )
    level = level_of(shape, inside, what)
    if any(one.name.lower() == name for one in level):
        raise Refused(what, f"there is a column {name} already", "choose another name, or rename that column first")


def _check_new_ids(shape: TableShape, what: str, new: NestedField) -> None:
    ids = ids_of(new)
    used = {one: schema for schema in (*shape.schemas, shape.schema) for one in ids if one in schema.field_ids}
    following = shape.highest_field_id + 1
    if used:
        taken, schema = next(iter(used.items()))
        raise Refused(
            what,
            f"the id {taken} is or was the column {schema.find_column_name(taken)} (schema {schema.schema_id}), and "
            "files that hold its values would show them under the new name",
            f"take an id that was never given: {following} is the next",
        )
    if min(ids) < following:
        raise Refused(
            what,
            f"the id {min(ids)} is below the highest one that the table ever gave ({following - 1}), so it may have "
            "been another column's",
            f"take an id that was never given: {following} is the next",
        )


def _refuse_scan_column(shape: TableShape, column: int, what: str, instead: str) -> None:
    if column in SCAN_COLUMNS:
        raise Refused(what, "running writers look a sale's row up by this column, by its name", instead)


def _holds_all(present: IcebergType, wider: PrimitiveType) -> bool:
    if isinstance(present, DecimalType) and isinstance(wider, DecimalType):
        return present.scale == wider.scale and present.precision <= wider.precision
    promotions = ((IntegerType, LongType), (FloatType, DoubleType))
    return any(isinstance(present, narrow) and isinstance(wider, wide) for narrow, wide in promotions)
