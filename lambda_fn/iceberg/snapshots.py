"""A new snapshot on the table's head, and the commit request that makes it the head by compare-and-set."""

from __future__ import annotations

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
)


def next_sequence_number(metadata: TableMetadata) -> int:
    """Return the sequence number of the next snapshot (Iceberg specification, "Sequence Numbers")."""
    # The metadata model of a table of format version 1 has no last sequence number.
    return (getattr(metadata, "last_sequence_number", None) or 0) + 1


def snapshot_on_head(
    metadata: TableMetadata, snapshot_id: int, manifest_list: str, summary: Summary, schema_id: int, now: float
) -> Snapshot:
    """Return a snapshot whose parent is the table's head. ``now`` is in seconds since the Unix epoch."""
    return Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=metadata.current_snapshot_id,
        sequence_number=next_sequence_number(metadata),
        # Another writer's clock may be ahead, and some catalogs refuse a snapshot that is older than the last one.
        timestamp_ms=max(int(now * 1000), metadata.last_updated_ms),
        manifest_list=manifest_list,
        summary=summary,
        schema_id=schema_id,
    )


def compare_and_set(
    metadata: TableMetadata, snapshot: Snapshot
) -> tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]:
    """Return the requirements and updates of a commit that makes the snapshot the head of an unchanged table.

    Only the requirement on the head makes a commit safe (docs/exactly-once.md, step 6).
    """
    requirements: tuple[TableRequirement, ...] = (
        AssertTableUUID(uuid=metadata.table_uuid),
        AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=metadata.current_snapshot_id),
        # Schema and partition spec can change while the head stays the same. Then the files have to be staged again.
        AssertCurrentSchemaId(current_schema_id=metadata.current_schema_id),
        AssertDefaultSpecId(default_spec_id=metadata.default_spec_id),
    )
    updates: tuple[TableUpdate, ...] = (
        AddSnapshotUpdate(snapshot=snapshot),
        SetSnapshotRefUpdate(
            ref_name=MAIN_BRANCH,
            type=SnapshotRefType.BRANCH,
            snapshot_id=snapshot.snapshot_id,
            # A branch with a retention of its own would disable the snapshot management of S3 Tables.
            max_ref_age_ms=None,
            max_snapshot_age_ms=None,
            min_snapshots_to_keep=None,
        ),
    )
    return requirements, updates
