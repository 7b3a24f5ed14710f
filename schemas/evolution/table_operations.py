"""The operations on a table other than on its columns: creation, partition fields, sort order and properties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform, Transform
from pyiceberg.types import PrimitiveType

from schemas.evolution.columns import name_or_id
from schemas.evolution.errors import OperationRefused
from schemas.evolution.operation import Operation
from schemas.evolution.table_definition import TableDefinition

SCHEMA_VERSION: Final = "carousel.schema-version"
"""Table property: the number of the last completed migration."""
SCHEMA_STEP: Final = "carousel.schema-step"
"""Table property while a migration is in progress: its number, a dot, and how many of its operations are done."""
SNAPSHOT_EXPIRY_PREFIX: Final = "history.expire."
"""Any table property with this prefix switches off the snapshot management of S3 Tables.

Source: Amazon S3 User Guide, "Considerations and limitations for maintenance jobs".
"""


@dataclass(frozen=True)
class CreateTable(Operation):
    """Create the table. Only the first migration contains it."""

    schema: Schema
    spec: PartitionSpec
    readers: ClassVar[str] = "There is nothing to read yet."

    def _words(self, _: TableDefinition) -> str:
        return f"create the table with {len(self.schema.fields)} columns"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        return table


@dataclass(frozen=True)
class AddPartitionField(Operation):
    """Also partition new data by a transform of the column with the id ``source``."""

    source: int
    transform: Transform[Any, Any]
    name: str
    readers: ClassVar[str] = (
        "Existing files keep their partitions, which readers still use to prune. Only new files are split further. "
        "Compaction may rewrite existing files."
    )

    def _words(self, table: TableDefinition) -> str:
        return f"also partition new data by {self.name} = {self.transform}({name_or_id(table, self.source)})"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        source_type = _type_of_source(table, self.source)
        if not self.transform.can_transform(source_type):
            raise OperationRefused(f"{self.transform} does not apply to {source_type}", "choose a transform that does")
        if any((field.source_id, field.transform) == (self.source, self.transform) for field in table.spec.fields):
            return table
        if any(field.name == self.name for field in table.spec.fields):
            raise OperationRefused("there is a partition field of that name already", "choose another name")
        if self.name in table.schema.column_names and not (
            isinstance(self.transform, IdentityTransform) and table.name_of(self.source) == self.name
        ):
            raise OperationRefused("a column has that name", "choose another name")
        # A field that equals one of an earlier spec gets its id (Iceberg specification, "Partition Evolution").
        earlier_ids = (
            field.field_id
            for field in table.partition_fields
            if (field.source_id, field.transform, field.name) == (self.source, self.transform, self.name)
        )
        field_id = next(earlier_ids, table.highest_partition_id + 1)
        added = PartitionField(source_id=self.source, field_id=field_id, transform=self.transform, name=self.name)
        return replace(table, spec=PartitionSpec(*table.spec.fields, added, spec_id=table.spec.spec_id))


@dataclass(frozen=True)
class RemovePartitionField(Operation):
    """Stop partitioning new data by a field."""

    name: str
    readers: ClassVar[str] = (
        "Existing files keep the partition, which readers still use to prune. A new file may hold any of its values, "
        "so queries that filter by it read more."
    )

    def _words(self, _: TableDefinition) -> str:
        return f"no longer partition new data by {self.name}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        remaining = [field for field in table.spec.fields if field.name != self.name]
        if len(remaining) == len(table.spec.fields):
            if any(field.name == self.name for field in table.partition_fields):
                return table
            raise OperationRefused("there is no such partition field", "look it up: carousel-sync evolve status")
        if not remaining:
            raise OperationRefused(
                "it is the last partition field, and every query would plan over the whole table",
                "add the partition field that replaces it first",
            )
        return replace(table, spec=PartitionSpec(*remaining, spec_id=table.spec.spec_id))


@dataclass(frozen=True)
class SetSortOrder(Operation):
    """Set the order in which writers and compaction sort rows. Each field is (column id, ``asc`` or ``desc``)."""

    fields: Sequence[tuple[int, str]]
    readers: ClassVar[str] = "Only speed changes. Existing files stay as they are until compaction rewrites them."

    def _words(self, table: TableDefinition) -> str:
        fields = ", ".join(f"{name_or_id(table, column)} {direction}" for column, direction in self.fields)
        return f"sort rows within a file by {fields}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        for column, _ in self.fields:
            _type_of_source(table, column)
        order = [
            SortField(column, IdentityTransform(), SortDirection(direction), NullOrder.NULLS_LAST)
            for column, direction in self.fields
        ]
        return replace(table, sort_order=SortOrder(*order, order_id=table.sort_order.order_id))


@dataclass(frozen=True)
class SetProperty(Operation):
    """Set a table property, or remove it (``value`` None)."""

    name: str
    value: str | None
    readers: ClassVar[str] = "Nothing changes for existing data."

    def _words(self, _: TableDefinition) -> str:
        return f"remove the property {self.name}" if self.value is None else f"set {self.name} to {self.value}"

    def _applied(self, table: TableDefinition) -> TableDefinition:
        if self.name.startswith(SNAPSHOT_EXPIRY_PREFIX):
            raise OperationRefused(
                "it switches off the snapshot management of S3 Tables (Amazon S3 User Guide, maintenance jobs)",
                "set the retention in the bucket's maintenance configuration",
            )
        if self.name in (SCHEMA_VERSION, SCHEMA_STEP):
            raise OperationRefused("evolve apply sets it", "leave it out")
        if self.name == "format-version":
            raise OperationRefused(
                "the writers, readers and checks of this project are made for format version 2",
                "create a table of the other version, and send the archived events to it",
            )
        properties = {name: value for name, value in table.properties.items() if name != self.name}
        return replace(table, properties=properties if self.value is None else {**properties, self.name: self.value})


def _type_of_source(table: TableDefinition, column: int) -> PrimitiveType:
    source = table.schema.as_struct().field(column)
    if source is None or not isinstance(source.field_type, PrimitiveType):
        reason = f"the column {name_or_id(table, column)} is not a top-level column of a primitive type"
        raise OperationRefused(reason, "name a column that is")
    return source.field_type
