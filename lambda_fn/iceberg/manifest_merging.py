"""Merging small manifests into a larger one, so that the manifest list of a table does not grow with every commit.

An append adds one manifest, and each later commit writes the list of all of them anew. As in Iceberg's own merging
appends, manifests are merged when there are enough of them, up to a target size; the table properties that set this are
Iceberg's (Apache Iceberg documentation, "Table behavior properties"). Unlike there, a merge is a snapshot of its own
that adds and removes no row: an append never waits for it, and loses nothing if it fails.

Manifests are merged with those of about their own size only. A file's entry is then copied once for each power of
:data:`TIER_FACTOR` that the table's number of files has, and not once for every merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestFile, write_manifest
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.utils.properties import property_as_bool, property_as_int

from lambda_fn.iceberg.memory_file import MemoryFile, NewFile
from lambda_fn.iceberg.staging import AVRO_CODEC, FORMAT_VERSION

TIER_FACTOR: Final = 100
MOST_AT_A_TIME: Final = 200
"""What one invocation can read beside its work."""
EVERY: Final = 20
"""Of so many commits one looks whether there is something to merge, so that not every writer does at the same time."""

_FEWEST: Final = 2


def due(manifests: Sequence[ManifestFile], sequence_number: int, properties: Mapping[str, str]) -> list[ManifestFile]:
    """Return the manifests to merge after the commit with this sequence number; none when it is not its turn."""
    settings, names = dict(properties), TableProperties
    if sequence_number % EVERY or not property_as_bool(settings, names.MANIFEST_MERGE_ENABLED, default=True):
        return []
    fewest = _number(
        settings, TableProperties.MANIFEST_MIN_MERGE_COUNT, TableProperties.MANIFEST_MIN_MERGE_COUNT_DEFAULT
    )
    target = _number(
        settings, TableProperties.MANIFEST_TARGET_SIZE_BYTES, TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT
    )
    tiers: dict[tuple[int, int], list[ManifestFile]] = {}
    for manifest in manifests:
        if manifest.content == ManifestContent.DATA and manifest.manifest_length < target:
            tiers.setdefault((manifest.partition_spec_id, _tier(manifest)), []).append(manifest)
    for _, members in sorted(tiers.items()):
        if len(members) >= max(fewest, _FEWEST):
            return _up_to(target, members)
    return []


def merge(
    table: Table, entries: Sequence[ManifestEntry], spec_id: int, snapshot_id: int
) -> tuple[ManifestFile, NewFile]:
    """Make one manifest of the entries, each as it was: same snapshot, same sequence numbers, same statistics."""
    file = MemoryFile(table.location_provider().new_metadata_location(f"{snapshot_id}-merged.avro"))
    spec = table.specs()[spec_id]
    with write_manifest(FORMAT_VERSION, spec, table.schema(), file, snapshot_id, AVRO_CODEC) as writer:
        for entry in entries:
            writer.existing(entry)
    return writer.to_manifest_file(), file.as_new_file()


def summary(table: Table, merged: int, kept: int, entries: int) -> Summary:
    """Return the summary of a snapshot that replaces manifests: the table's totals stay what they are."""
    head = table.current_snapshot()
    before = head.summary.additional_properties if head is not None and head.summary is not None else {}
    totals = {name: value for name, value in before.items() if name.startswith("total-")}
    # Names as Iceberg's rewriting of manifests has them (org.apache.iceberg.SnapshotSummary).
    counts = {
        "manifests-created": "1",
        "manifests-replaced": str(merged),
        "manifests-kept": str(kept),
        "entries-processed": str(entries),
    }
    return Summary(Operation.REPLACE, **totals, **counts)


def _number(properties: dict[str, str], name: str, default: int) -> int:
    number = property_as_int(properties, name, default)
    return default if number is None else number


def _tier(manifest: ManifestFile) -> int:
    """Return the power of TIER_FACTOR that the number of files is in."""
    files = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
    tier = 0
    while files >= TIER_FACTOR:
        files //= TIER_FACTOR
        tier += 1
    return tier


def _up_to(target_bytes: int, manifests: Sequence[ManifestFile]) -> list[ManifestFile]:
    """Return the oldest, as many as make one manifest of the target size."""
    chosen: list[ManifestFile] = []
    size_bytes = 0
    for manifest in sorted(manifests, key=lambda one: one.sequence_number)[:MOST_AT_A_TIME]:
        size_bytes += manifest.manifest_length
        if size_bytes > target_bytes and len(chosen) >= _FEWEST:
            break
        chosen.append(manifest)
    return chosen
