"""The operations on a table beside its columns: partition fields, the sort order, properties, and its creation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform, Transform
from pyiceberg.types import PrimitiveType

from schemas.evolution.refusal import Refused
from schemas.evolution.shape import TableShape

SCHEMA_VERSION: Final = "carousel.schema-version"
"""Table property: the number of the last migration that is done."""
SCHEMA_STEP: Final = "carousel.schema-step"
"""Table property while a migration is half done: its number, a dot, and how many of its operations are done."""

AnyTransform = Transform[Any, Any]


@dataclass(frozen=True)
class CreateTable:
    """Create the table. Only the first migration does."""

    schema: Schema
    spec: PartitionSpec

    readers: ClassVar[str] = "There is nothing to read before."

    def words(self, _: TableShape) -> str:
        """Say what it does."""
        return f"create the table with {len(self.schema.fields)} columns"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape as it is: the table was created before anything could be applied to it."""
        return shape


@dataclass(frozen=True)
class AddPartitionField:
    """Partition new data by one more value. ``source`` is the id of the column that it is made from."""

    source: int
    transform: AnyTransform
    name: str

    readers: ClassVar[str] = (
        "Old files keep their partitions and are still pruned by them; only new files are split further. Compaction "
        "may rewrite old ones."
    )

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        return f"partition new data by {self.name} = {self.transform}({shape.name_of(self.source)}), too"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the field. An equal one of an earlier spec gets its id back, as the format asks for."""
        what = f"Partitioning by {self.name}"
        kind = _source(shape, self.source, what)
        if not self.transform.can_transform(kind):
            raise Refused(what, f"{self.transform} does not apply to {kind}", "choose a transform that does")
        if any((one.source_id, one.transform) == (self.source, self.transform) for one in shape.spec.fields):
            return shape
        if any(one.name == self.name for one in shape.spec.fields):
            raise Refused(what, "a partition field of that name is there already", "choose another name")
        if self.name in shape.schema.column_names and not (
            isinstance(self.transform, IdentityTransform) and shape.name_of(self.source) == self.name
        ):
            raise Refused(what, "a column has that name", "choose another name")
        earlier = (
            one.field_id
            for spec in shape.specs
            for one in spec.fields
            if (one.source_id, one.transform, one.name) == (self.source, self.transform, self.name)
        )
        number = next(earlier, shape.highest_partition_id + 1)
        added = PartitionField(source_id=self.source, field_id=number, transform=self.transform, name=self.name)
        return replace(shape, spec=PartitionSpec(*shape.spec.fields, added, spec_id=shape.spec.spec_id))


@dataclass(frozen=True)
class RemovePartitionField:
    """Partition new data by one value less."""

    name: str

    readers: ClassVar[str] = (
        "Old files keep the partition and are still pruned by it. New files hold all of its values, so that queries "
        "by it read more."
    )

    def words(self, _: TableShape) -> str:
        """Say what it does."""
        return f"no longer partition new data by {self.name}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape without the field; one that an earlier spec had, and this one has not, is left so."""
        left = [one for one in shape.spec.fields if one.name != self.name]
        if len(left) == len(shape.spec.fields):
            if any(one.name == self.name for spec in shape.specs for one in spec.fields):
                return shape
            raise Refused(
                f"No longer partitioning by {self.name}", "there is no such partition field", "look at evolve status"
            )
        if not left:
            raise Refused(
                f"No longer partitioning by {self.name}",
                "it is the last partition field, and every query would plan over the whole table",
                "add the partition field that takes its place first",
            )
        return replace(shape, spec=PartitionSpec(*left, spec_id=shape.spec.spec_id))


@dataclass(frozen=True)
class SetSortOrder:
    """Ask writers and compaction to sort rows so. Each field is (column id, ``asc`` or ``desc``)."""

    fields: Sequence[tuple[int, str]]

    readers: ClassVar[str] = (
        "Nothing changes for them but speed. Old files stay as they are until compaction rewrites them."
    )

    def words(self, shape: TableShape) -> str:
        """Say what it does."""
        listed = ", ".join(f"{shape.name_of(column)} {direction}" for column, direction in self.fields)
        return f"sort rows within a file by {listed}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the sort order."""
        for column, _ in self.fields:
            _source(shape, column, "Setting the sort order")
        order = [
            SortField(column, IdentityTransform(), SortDirection(direction), NullOrder.NULLS_LAST)
            for column, direction in self.fields
        ]
        return replace(shape, sort_order=SortOrder(*order, order_id=shape.sort_order.order_id))


@dataclass(frozen=True)
class SetProperty:
    """Set a table property, or remove it (``value`` None)."""

    name: str
    value: str | None

    readers: ClassVar[str] = "Nothing changes for data that is there."

    def words(self, _: TableShape) -> str:
        """Say what it does."""
        return f"remove the property {self.name}" if self.value is None else f"set {self.name} to {self.value}"

    def apply(self, shape: TableShape) -> TableShape:
        """Return the shape with the property."""
        what = f"Setting the property {self.name}"
        if self.name.startswith("history.expire."):
            raise Refused(
                what,
                "it switches the snapshot management of S3 Tables off (Amazon S3 User Guide, maintenance jobs)",
                "set the retention in the bucket's maintenance configuration",
            )
        if self.name in (SCHEMA_VERSION, SCHEMA_STEP):
            raise Refused(what, "evolve apply itself keeps it", "leave it out")
        if self.name == "format-version":
            raise Refused(
                what,
                "writers, readers and the checks of this project are made for format version 2",
                "create a table of the other version, and send the archived events to it",
            )
        properties = {name: value for name, value in shape.properties.items() if name != self.name}
        return replace(shape, properties=properties if self.value is None else {**properties, self.name: self.value})


TableOperation = CreateTable | AddPartitionField | RemovePartitionField | SetSortOrder | SetProperty


def _source(shape: TableShape, column: int, what: str) -> PrimitiveType:
    if shape.name_of(column) is None:
        raise Refused(what, f"the table has no column with the id {column}", "name a column that is there")
    kind = shape.schema.find_field(column).field_type
    if not isinstance(kind, PrimitiveType) or not any(one.field_id == column for one in shape.schema.fields):
        raise Refused(what, f"{shape.name_of(column)} is no plain column of the table itself", "name one that is")
    return kind
