"""A snapshot on the head of a table, and the conditions and changes of the commit that makes it the head."""

from __future__ import annotations

import pytest
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
)
from pyiceberg.types import NestedField, StringType

from lambda_fn.iceberg.snapshots import compare_and_set, next_sequence_number, snapshot_on_head

NOW = 1_790_000_000.125
NOW_MILLISECONDS = 1_790_000_000_125
SUMMARY = Summary(Operation.APPEND)


def metadata(version: int = 2, **changes: object) -> TableMetadata:
    schema = Schema(NestedField(1, "sale_id", StringType(), required=True))
    properties = {"format-version": str(version)}
    made = new_table_metadata(schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "s3://lake/sales", properties)
    return made.model_copy(update={"last_updated_ms": NOW_MILLISECONDS - 1, **changes})


def on_head(table: TableMetadata) -> Snapshot:
    return snapshot_on_head(table, 77, "s3://lake/list.avro", SUMMARY, 3, NOW)


@pytest.mark.parametrize("head", [None, 76])
def test_the_parent_is_the_head(head: int | None) -> None:
    assert on_head(metadata(current_snapshot_id=head, last_sequence_number=8)) == Snapshot(
        snapshot_id=77,
        parent_snapshot_id=head,
        sequence_number=9,
        timestamp_ms=NOW_MILLISECONDS,
        manifest_list="s3://lake/list.avro",
        summary=SUMMARY,
        schema_id=3,
    )


def test_a_snapshot_is_not_older_than_the_last_one() -> None:
    assert on_head(metadata(last_updated_ms=NOW_MILLISECONDS + 5)).timestamp_ms == NOW_MILLISECONDS + 5


def test_the_first_snapshot_has_the_sequence_number_1() -> None:
    assert next_sequence_number(metadata()) == 1
    assert next_sequence_number(metadata(version=1)) == 1


def test_a_commit_requires_the_table_as_it_was_and_sets_the_branch() -> None:
    table = metadata(current_snapshot_id=76, current_schema_id=4, default_spec_id=2)
    snapshot = on_head(table)
    assert compare_and_set(table, snapshot) == (
        (
            AssertTableUUID(uuid=table.table_uuid),
            AssertRefSnapshotId(ref="main", snapshot_id=76),
            AssertCurrentSchemaId(current_schema_id=4),
            AssertDefaultSpecId(default_spec_id=2),
        ),
        (
            AddSnapshotUpdate(snapshot=snapshot),
            SetSnapshotRefUpdate(
                ref_name="main",
                type=SnapshotRefType.BRANCH,
                snapshot_id=77,
                max_ref_age_ms=None,
                max_snapshot_age_ms=None,
                min_snapshots_to_keep=None,
            ),
        ),
    )
