"""A staged manifest as text, so that another writer can land it: the leader of a group lists it in its snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from pyiceberg.manifest import UNASSIGNED_SEQ, ManifestContent, ManifestFile, PartitionFieldSummary

_FORMAT_VERSION: Final = 2
_UNASSIGNED_SNAPSHOT_ID: Final = -1
_CHANGED_PARTITIONS: Final = "changed-partition-count"
_LARGEST_LONG: Final = 2**63 - 1

_Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_LONG)]


@dataclass(frozen=True)
class MemberManifest:
    """An uploaded manifest of added data files, and what a snapshot's summary counts of them.

    ``size_bytes`` is the size of the data files.
    """

    manifest: ManifestFile
    schema_id: int
    spec_id: int
    size_bytes: int


class _Partitions(msgspec.Struct, frozen=True, array_like=True):
    """The values of one partition field. Bounds are in Base64."""

    contains_null: bool
    contains_nan: bool | None
    lower: bytes | None
    upper: bytes | None


class _Text(msgspec.Struct, frozen=True):
    path: str
    length: _Count
    files: _Count
    rows: _Count
    bytes: _Count
    partitions: list[_Partitions]
    schema: int
    spec: int


def encode(member: MemberManifest) -> str:
    """Return a manifest as compact JSON."""
    manifest = member.manifest
    text = _Text(
        path=manifest.manifest_path,
        length=manifest.manifest_length,
        files=manifest.added_files_count or 0,
        rows=manifest.added_rows_count or 0,
        bytes=member.size_bytes,
        partitions=[
            _Partitions(field.contains_null, field.contains_nan, field.lower_bound, field.upper_bound)
            for field in manifest.partitions or ()
        ],
        schema=member.schema_id,
        spec=member.spec_id,
    )
    return msgspec.json.encode(text).decode()


def decode(text: str) -> MemberManifest:
    """Return the manifest in a text. Raises ValueError if something else has written the text."""
    content = msgspec.json.decode(text, type=_Text)
    partitions = [
        PartitionFieldSummary.from_args(
            contains_null=field.contains_null,
            contains_nan=field.contains_nan,
            lower_bound=field.lower,
            upper_bound=field.upper,
        )
        for field in content.partitions
    ]
    manifest = ManifestFile.from_args(
        _table_format_version=_FORMAT_VERSION,
        manifest_path=content.path,
        manifest_length=content.length,
        partition_spec_id=content.spec,
        content=ManifestContent.DATA,
        sequence_number=UNASSIGNED_SEQ,
        min_sequence_number=UNASSIGNED_SEQ,
        # The leader assigns both when it lists the manifest.
        added_snapshot_id=_UNASSIGNED_SNAPSHOT_ID,
        added_files_count=content.files,
        existing_files_count=0,
        deleted_files_count=0,
        added_rows_count=content.rows,
        existing_rows_count=0,
        deleted_rows_count=0,
        partitions=partitions,
        key_metadata=None,
    )
    return MemberManifest(manifest, content.schema, content.spec, content.bytes)


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
