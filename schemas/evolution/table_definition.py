"""What defines a table, apart from its data: schema, partition spec, sort order and properties."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder


@dataclass(frozen=True)
class TableDefinition:
    """The current schema, partition spec, sort order and properties, and the earlier ones that the metadata keeps.

    ``last_column_id`` and ``last_partition_id`` are the catalog's. They serve as tokens in requirements. New ids come
    from :attr:`highest_field_id` instead, because at least one catalog ignores nested columns in ``last-column-id``.
    """

    schema: Schema
    spec: PartitionSpec
    sort_order: SortOrder = UNSORTED_SORT_ORDER
    properties: Mapping[str, str] = field(default_factory=dict)
    schemas: tuple[Schema, ...] = ()
    specs: tuple[PartitionSpec, ...] = ()
    sort_orders: tuple[SortOrder, ...] = ()
    last_column_id: int = 0
    last_partition_id: int | None = None
    uuid: uuid.UUID | None = None

    @property
    def highest_field_id(self) -> int:
        """The highest field id that the table ever assigned, in nested columns and earlier schemas too."""
        return max(self.last_column_id, *(schema.highest_field_id for schema in (self.schema, *self.schemas)))

    @property
    def partition_fields(self) -> list[PartitionField]:
        """The fields of all partition specs, for new and for existing data."""
        return [field for spec in (self.spec, *self.specs) for field in spec.fields]

    @property
    def highest_partition_id(self) -> int:
        """The highest partition field id that the table ever assigned."""
        assigned = (field.field_id for field in self.partition_fields)
        return max(self.last_partition_id or 0, PARTITION_FIELD_ID_START - 1, *assigned)

    def name_of(self, field_id: int) -> str | None:
        """Return the full, dotted name of a column; None if the current schema has no such column."""
        return self.schema.find_column_name(field_id)


def definition_of(metadata: TableMetadata) -> TableDefinition:
    """Return the definition in a catalog's table metadata."""
    return TableDefinition(
        schema=metadata.schema(),
        spec=metadata.spec(),
        sort_order=metadata.sort_order(),
        properties=dict(metadata.properties),
        schemas=tuple(metadata.schemas),
        specs=tuple(metadata.partition_specs),
        sort_orders=tuple(metadata.sort_orders),
        last_column_id=metadata.last_column_id,
        last_partition_id=metadata.last_partition_id,
        uuid=metadata.table_uuid,
    )


def new_table(schema: Schema, spec: PartitionSpec) -> TableDefinition:
    """Return the definition of a newly created table."""
    order = UNSORTED_SORT_ORDER
    return TableDefinition(schema, spec, order, {}, (schema,), (spec,), (order,), schema.highest_field_id)
