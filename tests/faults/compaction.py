"""A compaction like that of a table maintenance service: it merges many data files into one while writers append.

Its snapshot replaces the data files of the head that it read, and keeps what was appended since.
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
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update import (
    TableRequirement,
    TableUpdate,
)

from carousel_sync.consistency.table_rows import read_rows
from lambda_fn.iceberg import staging
from lambda_fn.iceberg.memory_file import NewFile
from lambda_fn.iceberg.snapshots import compare_and_set, snapshot_on_head
from lambda_fn.iceberg.staging import StagedFiles
from tests.tables import TableUnderTest

MIN_MANIFESTS: Final = 4
"""Fewer manifests are not worth a compaction."""
TRIES: Final = 50
_PAUSE_SECONDS: Final = 0.2


@dataclass
class CompactionFigures:
    """The figures of all compactions."""

    landed: int = 0
    conflicts: int = 0
    files: int = 0


def compact_until(stop: threading.Event, table: TableUnderTest, figures: CompactionFigures) -> None:
    """Compact repeatedly until the event is set."""
    generator = random.Random(1)
    while not stop.wait(_PAUSE_SECONDS):
        compact(table, generator.randrange(1, 2**63), figures)


def compact(table: TableUnderTest, snapshot_id: int, figures: CompactionFigures) -> None:
    """Replace all data files of the current head with one per partition. Retries when another commit is faster."""
    catalog = table.catalog()
    loaded = catalog.load_table(table.identifier)
    replaced = set(_manifests(loaded))
    if len(replaced) < MIN_MANIFESTS:
        return
    sales = [row.sale for row in read_rows(loaded, lambda _done, _of: None)]
    staged = staging.stage(loaded, sales, snapshot_id)
    for file in staged.pending.values():
        _upload(loaded, file)
    for _ in range(TRIES):
        manifests = _manifests(loaded)
        if not replaced <= manifests.keys():
            return  # The same files were compacted by somebody else.
        kept = [manifest for path, manifest in manifests.items() if path not in replaced]
        manifest_list = staging.manifest_list(loaded, snapshot_id, [staged.manifest], kept).file
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
    summary = Summary(Operation.REPLACE)
    snapshot = snapshot_on_head(
        table.metadata, staged.attempt_id, manifest_list, summary, staged.schema_id, time.time()
    )
    return compare_and_set(table.metadata, snapshot)
