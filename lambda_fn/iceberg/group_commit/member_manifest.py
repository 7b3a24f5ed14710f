"""A staged manifest as text, so that another writer can land it: the leader of a group lists it in its snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyiceberg.manifest import UNASSIGNED_SEQ, ManifestContent, ManifestFile, PartitionFieldSummary

_FORMAT_VERSION: Final = 2
_UNASSIGNED_SNAPSHOT_ID: Final = -1
_CHANGED_PARTITIONS: Final = "changed-partition-count"


@dataclass(frozen=True)
class MemberManifest:
    """An uploaded manifest of added data files, and what a snapshot's summary counts of them.

    ``size_bytes`` is the size of the data files.
    """

    manifest: ManifestFile
    schema_id: int
    spec_id: int
    size_bytes: int


def encode(member: MemberManifest) -> str:
    """Return a manifest as compact JSON. Bounds of partitions are in hexadecimal."""
    manifest = member.manifest
    partitions = [
        [field.contains_null, field.contains_nan, _hex(field.lower_bound), _hex(field.upper_bound)]
        for field in manifest.partitions or ()
    ]
    content = {
        "path": manifest.manifest_path,
        "length": manifest.manifest_length,
        "files": manifest.added_files_count,
        "rows": manifest.added_rows_count,
        "bytes": member.size_bytes,
        "partitions": partitions,
        "schema": member.schema_id,
        "spec": member.spec_id,
    }
    return json.dumps(content, separators=(",", ":"))


def decode(text: str) -> MemberManifest:
    """Return the manifest in a text. Raises ValueError or KeyError if something else has written the text."""
    content: dict[str, Any] = json.loads(text)
    partitions = [
        PartitionFieldSummary.from_args(
            contains_null=null, contains_nan=nan, lower_bound=_bytes(lower), upper_bound=_bytes(upper)
        )
        for null, nan, lower, upper in content["partitions"]
    ]
    manifest = ManifestFile.from_args(
        _table_format_version=_FORMAT_VERSION,
        manifest_path=content["path"],
        manifest_length=content["length"],
        partition_spec_id=content["spec"],
        content=ManifestContent.DATA,
        sequence_number=UNASSIGNED_SEQ,
        min_sequence_number=UNASSIGNED_SEQ,
        # The leader assigns both when it lists the manifest.
        added_snapshot_id=_UNASSIGNED_SNAPSHOT_ID,
        added_files_count=content["files"],
        existing_files_count=0,
        deleted_files_count=0,
        added_rows_count=content["rows"],
        existing_rows_count=0,
        deleted_rows_count=0,
        partitions=partitions,
        key_metadata=None,
    )
    return MemberManifest(manifest, content["schema"], content["spec"], content["bytes"])


def with_members(own: Mapping[str, str], members: Sequence[MemberManifest]) -> dict[str, str]:
    """Return the counts of a snapshot's summary for the leader's files and those of its members.

    The number of partitions is left out if there are members, because the leader does not know which they share. The
    Iceberg specification makes it optional ("Optional Snapshot Summary Fields").
    """
    counts = dict(own)
    if not members:
        return counts
    counts.pop(_CHANGED_PARTITIONS, None)
    added = {
        "added-data-files": sum(member.manifest.added_files_count or 0 for member in members),
        "added-records": sum(member.manifest.added_rows_count or 0 for member in members),
        "added-files-size": sum(member.size_bytes for member in members),
    }
    return counts | {name: str(int(counts.get(name, 0)) + count) for name, count in added.items()}


def _hex(bound: bytes | None) -> str | None:
    return None if bound is None else bound.hex()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
