"""A compaction as a table's maintenance service runs it: many data files become one, while others append.

Its snapshot replaces what was in the head that it read, and keeps what was appended since.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Final

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestFile, read_manifest_list
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
)

from lambda_fn.iceberg import staging
from lambda_fn.iceberg.staging import NewFile, StagedFiles
from ops.table_rows import read_rows
from tests.tables import TableUnderTest

# Fewer are not worth it.
FEWEST_MANIFESTS: Final = 4
TRIES: Final = 50
_PAUSE_SECONDS: Final = 0.2


@dataclass
class CompactionFigures:
    """What the compactions did."""

    landed: int = 0
    conflicts: int = 0
    files: int = 0


def compact_until(stop: threading.Event, table: TableUnderTest, figures: CompactionFigures) -> None:
    """Compact again and again."""
    generator = random.Random(1)
    while not stop.wait(_PAUSE_SECONDS):
        compact(table, generator.randrange(1, 2**63), figures)


def compact(table: TableUnderTest, snapshot_id: int, figures: CompactionFigures) -> None:
    """Replace all data files of the present head by one for each partition, however often others are faster."""
    catalog = table.catalog()
    loaded = catalog.load_table(table.identifier)
    replaced = set(_manifests(loaded))
    if len(replaced) < FEWEST_MANIFESTS:
        return
    sales = [row.sale for row in read_rows(loaded, lambda _done, _of: None)]
    staged = staging.stage(loaded, sales, snapshot_id)
    for file in staged.pending:
        _upload(loaded, file)
    for _ in range(TRIES):
        manifests = _manifests(loaded)
        if not replaced <= manifests.keys():
            return  # Somebody else has compacted the same files.
        kept = [manifest for path, manifest in manifests.items() if path not in replaced]
        manifest_list = staging.manifest_list(loaded, staged, kept)
        _upload(loaded, manifest_list)
        try:
            catalog.commit_table(loaded, *_replacement(loaded, staged, manifest_list.location))
        except CommitFailedException:
            figures.conflicts += 1
            loaded = catalog.load_table(table.identifier)
        else:
            figures.landed += 1
            figures.files += len(replaced)
            return


def _manifests(table: Table) -> dict[str, ManifestFile]:
    head = table.current_snapshot()
    if head is None:
        return {}
    return {manifest.manifest_path: manifest for manifest in read_manifest_list(table.io.new_input(head.manifest_list))}


def _upload(table: Table, file: NewFile) -> None:
    with table.io.new_output(file.location).create(overwrite=True) as stream:
        stream.write(file.content)


def _replacement(
    table: Table, staged: StagedFiles, manifest_list: str
) -> tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]:
    metadata = table.metadata
    snapshot = Snapshot(
        snapshot_id=staged.attempt_id,
        parent_snapshot_id=metadata.current_snapshot_id,
        sequence_number=staging.next_sequence_number(metadata),
        timestamp_ms=max(int(time.time() * 1000), metadata.last_updated_ms),
        manifest_list=manifest_list,
        summary=Summary(Operation.REPLACE),
        schema_id=staged.schema_id,
    )
    requirements: tuple[TableRequirement, ...] = (
        AssertTableUUID(uuid=metadata.table_uuid),
        AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=metadata.current_snapshot_id),
    )
    updates: tuple[TableUpdate, ...] = (
        AddSnapshotUpdate(snapshot=snapshot),
        SetSnapshotRefUpdate(
            ref_name=MAIN_BRANCH,
            type=SnapshotRefType.BRANCH,
            snapshot_id=staged.attempt_id,
            max_ref_age_ms=None,
            max_snapshot_age_ms=None,
            min_snapshots_to_keep=None,
        ),
    )
    return requirements, updates
