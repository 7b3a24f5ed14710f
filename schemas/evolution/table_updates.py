"""The Iceberg updates that turn one table definition into another, and the requirements to commit them with.

Pure: nothing here calls a catalog. All ids are explicit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import update as iceberg
from pyiceberg.table.sorting import SortOrder

from schemas.evolution.table_definition import TableDefinition

_LAST_ADDED: Final = -1
"""Iceberg REST specification, ``SetCurrentSchemaUpdate``: the item that the same commit added."""


@dataclass(frozen=True)
class Change:
    """The updates of one commit, and the definition that they produce, with the ids that they assign."""

    updates: tuple[iceberg.TableUpdate, ...]
    after: TableDefinition


def requirements(before: TableDefinition) -> tuple[iceberg.TableRequirement, ...]:
    """Return the requirements that make a commit fail if anyone changed the definition in the meantime.

    The current snapshot is not among them: writers may append at the same time.
    """
    tokens: tuple[iceberg.TableRequirement, ...] = (
        iceberg.AssertCurrentSchemaId(current_schema_id=before.schema.schema_id),
        iceberg.AssertLastAssignedFieldId(last_assigned_field_id=before.last_column_id),
        iceberg.AssertDefaultSpecId(default_spec_id=before.spec.spec_id),
        iceberg.AssertLastAssignedPartitionId(last_assigned_partition_id=before.last_partition_id),
        iceberg.AssertDefaultSortOrderId(default_sort_order_id=before.sort_order.order_id),
    )
    return tokens if before.uuid is None else (iceberg.AssertTableUUID(uuid=before.uuid), *tokens)


def change_between(before: TableDefinition, wanted: TableDefinition) -> Change:
    """Return the change from one definition to another. Equal definitions need no updates.

    A schema, spec or sort order that the table already had is selected by its id, not added again.
    """
    after = before
    updates: list[iceberg.TableUpdate] = []
    for part in (_schema, _spec, _sort_order, _properties):
        changed = part(after, wanted)
        updates.extend(changed.updates)
        after = changed.after
    return Change(tuple(updates), after)


def _schema(before: TableDefinition, wanted: TableDefinition) -> Change:
    if before.schema == wanted.schema:
        return Change((), before)
    known = next((schema for schema in before.schemas if schema == wanted.schema), None)
    if known is not None:
        return Change((iceberg.SetCurrentSchemaUpdate(schema_id=known.schema_id),), replace(before, schema=known))
    schema_id = max((schema.schema_id for schema in before.schemas), default=before.schema.schema_id) + 1
    added = Schema(
        *wanted.schema.fields, schema_id=schema_id, identifier_field_ids=list(wanted.schema.identifier_field_ids)
    )
    last_column_id = max(before.last_column_id, added.highest_field_id)
    after = replace(before, schema=added, schemas=(*before.schemas, added), last_column_id=last_column_id)
    selection = iceberg.SetCurrentSchemaUpdate(schema_id=_LAST_ADDED)
    return Change((iceberg.AddSchemaUpdate(schema_=added), selection), after)


def _spec(before: TableDefinition, wanted: TableDefinition) -> Change:
    if before.spec.fields == wanted.spec.fields:
        return Change((), before)
    known = next((spec for spec in before.specs if spec.fields == wanted.spec.fields), None)
    if known is not None:
        return Change((iceberg.SetDefaultSpecUpdate(spec_id=known.spec_id),), replace(before, spec=known))
    spec_id = max((spec.spec_id for spec in before.specs), default=before.spec.spec_id) + 1
    added = PartitionSpec(*wanted.spec.fields, spec_id=spec_id)
    after = replace(before, spec=added, specs=(*before.specs, added))
    after = replace(after, last_partition_id=after.highest_partition_id)
    selection = iceberg.SetDefaultSpecUpdate(spec_id=_LAST_ADDED)
    return Change((iceberg.AddPartitionSpecUpdate(spec=added), selection), after)


def _sort_order(before: TableDefinition, wanted: TableDefinition) -> Change:
    if before.sort_order.fields == wanted.sort_order.fields:
        return Change((), before)
    known = next((order for order in before.sort_orders if order.fields == wanted.sort_order.fields), None)
    if known is not None:
        selection = iceberg.SetDefaultSortOrderUpdate(sort_order_id=known.order_id)
        return Change((selection,), replace(before, sort_order=known))
    order_id = max((order.order_id for order in before.sort_orders), default=0) + 1
    added = SortOrder(*wanted.sort_order.fields, order_id=order_id)
    after = replace(before, sort_order=added, sort_orders=(*before.sort_orders, added))
    selection = iceberg.SetDefaultSortOrderUpdate(sort_order_id=_LAST_ADDED)
    return Change((iceberg.AddSortOrderUpdate(sort_order=added), selection), after)


def _properties(before: TableDefinition, wanted: TableDefinition) -> Change:
    changed = {name: value for name, value in wanted.properties.items() if before.properties.get(name) != value}
    removed = sorted(before.properties.keys() - wanted.properties.keys())
    updates: list[iceberg.TableUpdate] = []
    if changed:
        updates.append(iceberg.SetPropertiesUpdate(updates=changed))
    if removed:
        updates.append(iceberg.RemovePropertiesUpdate(removals=removed))
    return Change(tuple(updates), replace(before, properties=dict(wanted.properties)))
