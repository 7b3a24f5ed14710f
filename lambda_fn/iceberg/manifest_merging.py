"""Merging small manifests into larger ones, so that the table's manifest list does not grow with every commit.

An append adds one manifest, and each later commit writes the list of all manifests again. As in the merging appends of
Iceberg's Java library, manifests are merged once there are enough of them, up to a target size, and the same table
properties configure it (Apache Iceberg documentation, "Table behavior properties"). Unlike there, a merge is a snapshot
of its own that adds and removes no row, so that no append waits for a merge or fails with it.

Only manifests of a similar size are merged. The entry of a file is then copied once for each power of
:data:`TIER_FACTOR` in the table's number of files, instead of once for each merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestFile, write_manifest
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.snapshots import Operation, Summary

from lambda_fn.iceberg.memory_file import MemoryFile, NewFile
from lambda_fn.iceberg.staging import AVRO_CODEC, FORMAT_VERSION

TIER_FACTOR: Final = 100
MAX_MANIFESTS: Final = 200
"""The most manifests of one merge: an invocation has little time left to read them."""
CHECK_INTERVAL: Final = 20
"""A merge may be due after every so many commits only, so that concurrent writers do not all merge at once.

It is also due as soon as there are enough manifests for the largest merge: the commit of a group adds many.
"""

_MIN_MANIFESTS: Final = 2


def manifests_to_merge(
    manifests: Sequence[ManifestFile], sequence_number: int, properties: Mapping[str, str]
) -> list[ManifestFile]:
    """Return the manifests to merge into one, or none if no merge is due.

    ``manifests`` are those of the snapshot with this sequence number; ``properties`` are the table's. A property that
    can't be read counts as its default.
    """
    names = TableProperties
    # Enabled by default, as in Java. pyiceberg's own default is to append without merging.
    is_off = properties.get(names.MANIFEST_MERGE_ENABLED, "").strip().lower() == "false"
    if is_off:
        return []
    min_count = _integer(properties, names.MANIFEST_MIN_MERGE_COUNT, names.MANIFEST_MIN_MERGE_COUNT_DEFAULT)
    target_bytes = _integer(properties, names.MANIFEST_TARGET_SIZE_BYTES, names.MANIFEST_TARGET_SIZE_BYTES_DEFAULT)
    tiers: dict[tuple[int, int], list[ManifestFile]] = {}
    for manifest in manifests:
        if manifest.content == ManifestContent.DATA and manifest.manifest_length < target_bytes:
            tiers.setdefault((manifest.partition_spec_id, _tier(manifest)), []).append(manifest)
    enough = MAX_MANIFESTS if sequence_number % CHECK_INTERVAL else min_count
    for _, members in sorted(tiers.items()):
        if len(members) >= max(enough, min_count, _MIN_MANIFESTS):
            return _oldest_up_to(target_bytes, members)
    return []


def merge(
    table: Table, entries: Sequence[ManifestEntry], spec_id: int, snapshot_id: int
) -> tuple[ManifestFile, NewFile]:
    """Make one manifest of the entries. Each keeps its snapshot, its sequence numbers and its statistics."""
    file = MemoryFile(table.location_provider().new_metadata_location(f"{snapshot_id}-merged.avro"))
    spec = table.specs()[spec_id]
    with write_manifest(FORMAT_VERSION, spec, table.schema(), file, snapshot_id, AVRO_CODEC) as writer:
        for entry in entries:
            writer.existing(entry)
    return writer.to_manifest_file(), file.as_new_file()


def summary(table: Table, merged: int, kept: int, entries: int) -> Summary:
    """Return the summary of a snapshot that replaces manifests. The table's totals stay the same."""
    head = table.current_snapshot()
    before = head.summary.additional_properties if head is not None and head.summary is not None else {}
    totals = {name: value for name, value in before.items() if name.startswith("total-")}
    # The names that Iceberg's RewriteManifests writes (org.apache.iceberg.SnapshotSummary).
    counts = {
        "manifests-created": "1",
        "manifests-replaced": str(merged),
        "manifests-kept": str(kept),
        "entries-processed": str(entries),
    }
    return Summary(Operation.REPLACE, **totals, **counts)


def _integer(properties: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(properties.get(name, default))
    except ValueError:
        return default


def _tier(manifest: ManifestFile) -> int:
    """Return the number of times that TIER_FACTOR divides the manifest's number of files."""
    files = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
    tier = 0
    while files >= TIER_FACTOR:
        files //= TIER_FACTOR
        tier += 1
    return tier


def _oldest_up_to(target_bytes: int, manifests: Sequence[ManifestFile]) -> list[ManifestFile]:
    """Return the oldest manifests that together make one of the target size, or at least two."""
    chosen: list[ManifestFile] = []
    size_bytes = 0
    for manifest in sorted(manifests, key=lambda candidate: candidate.sequence_number)[:MAX_MANIFESTS]:
        size_bytes += manifest.manifest_length
        if size_bytes > target_bytes and len(chosen) >= _MIN_MANIFESTS:
            break
        chosen.append(manifest)
    return chosen
