"""What a table looks like apart from its data, and the Iceberg updates that lead from one look to another.

Pure: nothing here asks a catalog. Ids are our own, explicit ones. A catalog's ``last-column-id`` is used as a token to
compare with and never to choose an id from: at least one catalog forgets nested columns in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSortOrderUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSortOrderId,
    AssertDefaultSpecId,
    AssertLastAssignedFieldId,
    AssertLastAssignedPartitionId,
    AssertTableUUID,
    RemovePropertiesUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
    TableRequirement,
    TableUpdate,
)

_LAST_ADDED = -1
"""Iceberg REST specification, ``SetCurrentSchemaUpdate``: the one that was added in the same commit."""


@dataclass(frozen=True)
class TableShape:
    """Schema, partition spec, sort order and properties of a table, with every earlier one that it remembers."""

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
        """The highest field id that the table ever gave, nested ones and those of earlier schemas included."""
        walked = (highest_id(schema) for schema in (self.schema, *self.schemas))
        return max(self.last_column_id, *walked)

    @property
    def highest_partition_id(self) -> int:
        """The highest partition field id that the table ever gave."""
        given = (one.field_id for spec in (self.spec, *self.specs) for one in spec.fields)
        return max(self.last_partition_id or 0, PARTITION_FIELD_ID_START - 1, *given)

    def name_of(self, field_id: int) -> str | None:
        """Return the column's full name, with dots; None when there is no such column now."""
        return self.schema.find_column_name(field_id)


def shape_of(metadata: TableMetadata) -> TableShape:
    """Return the shape of a table as a catalog told it."""
    return TableShape(
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


def new_table(schema: Schema, spec: PartitionSpec) -> TableShape:
    """Return the shape of a table that was just created."""
    order = UNSORTED_SORT_ORDER
    return TableShape(schema, spec, order, {}, (schema,), (spec,), (order,), highest_id(schema))


def highest_id(schema: Schema) -> int:
    """Return the highest field id of a schema, nested ones included."""
    return max(field_ids(schema), default=0)


def field_ids(schema: Schema) -> Iterator[int]:
    """Yield every field id of a schema: columns, fields of structs, elements of lists, keys and values of maps."""
    yield from schema.field_ids


def requirements(before: TableShape) -> tuple[TableRequirement, ...]:
    """Return what has to hold for a change of this shape: whoever changed it meanwhile makes the commit fail.

    The head is not among it: writers may commit at the same time.
    """
    tokens: tuple[TableRequirement, ...] = (
        AssertCurrentSchemaId(current_schema_id=before.schema.schema_id),
        AssertLastAssignedFieldId(last_assigned_field_id=before.last_column_id),
        AssertDefaultSpecId(default_spec_id=before.spec.spec_id),
        AssertLastAssignedPartitionId(last_assigned_partition_id=before.last_partition_id),
        AssertDefaultSortOrderId(default_sort_order_id=before.sort_order.order_id),
    )
    return tokens if before.uuid is None else (AssertTableUUID(uuid=before.uuid), *tokens)


@dataclass(frozen=True)
class Change:
    """The updates of one commit, and the shape that they lead to, with the ids that they give."""

    updates: tuple[TableUpdate, ...]
    after: TableShape


def change(before: TableShape, wanted: TableShape) -> Change:
    """Return what leads from one shape to another; nothing when they are alike."""
    after = before
    updates: list[TableUpdate] = []
    for part in (_schema, _spec, _sort_order, _properties):
        changed = part(after, wanted)
        updates.extend(changed.updates)
        after = changed.after
    return Change(tuple(updates), after)


def _schema(before: TableShape, wanted: TableShape) -> Change:
    if before.schema == wanted.schema:
        return Change((), before)
    known = next((schema for schema in before.schemas if schema == wanted.schema), None)
    if known is not None:
        return Change((SetCurrentSchemaUpdate(schema_id=known.schema_id),), replace(before, schema=known))
    number = max((schema.schema_id for schema in before.schemas), default=before.schema.schema_id) + 1
    added = Schema(
        *wanted.schema.fields, schema_id=number, identifier_field_ids=list(wanted.schema.identifier_field_ids)
    )
    after = replace(
        before,
        schema=added,
        schemas=(*before.schemas, added),
        last_column_id=max(before.last_column_id, highest_id(added)),
    )
    return Change((AddSchemaUpdate(schema_=added), SetCurrentSchemaUpdate(schema_id=_LAST_ADDED)), after)


def _spec(before: TableShape, wanted: TableShape) -> Change:
    if before.spec.fields == wanted.spec.fields:
        return Change((), before)
    known = next((spec for spec in before.specs if spec.fields == wanted.spec.fields), None)
    if known is not None:
        return Change((SetDefaultSpecUpdate(spec_id=known.spec_id),), replace(before, spec=known))
    number = max((spec.spec_id for spec in before.specs), default=before.spec.spec_id) + 1
    added = PartitionSpec(*wanted.spec.fields, spec_id=number)
    after = replace(before, spec=added, specs=(*before.specs, added))
    after = replace(after, last_partition_id=after.highest_partition_id)
    return Change((AddPartitionSpecUpdate(spec=added), SetDefaultSpecUpdate(spec_id=_LAST_ADDED)), after)


def _sort_order(before: TableShape, wanted: TableShape) -> Change:
    if before.sort_order.fields == wanted.sort_order.fields:
        return Change((), before)
    known = next((order for order in before.sort_orders if order.fields == wanted.sort_order.fields), None)
    if known is not None:
        return Change((SetDefaultSortOrderUpdate(sort_order_id=known.order_id),), replace(before, sort_order=known))
    number = max((order.order_id for order in before.sort_orders), default=0) + 1
    added = SortOrder(*wanted.sort_order.fields, order_id=number)
    after = replace(before, sort_order=added, sort_orders=(*before.sort_orders, added))
    return Change((AddSortOrderUpdate(sort_order=added), SetDefaultSortOrderUpdate(sort_order_id=_LAST_ADDED)), after)


def _properties(before: TableShape, wanted: TableShape) -> Change:
    given = {name: value for name, value in wanted.properties.items() if before.properties.get(name) != value}
    gone = sorted(before.properties.keys() - wanted.properties.keys())
    updates: list[TableUpdate] = []
    if given:
        updates.append(SetPropertiesUpdate(updates=given))
    if gone:
        updates.append(RemovePropertiesUpdate(removals=gone))
    return Change(tuple(updates), replace(before, properties=dict(wanted.properties)))
