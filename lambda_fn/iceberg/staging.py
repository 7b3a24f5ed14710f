"""The files of an append, made in memory: a Parquet file for each partition, one manifest, and the manifest list."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.avro.codecs import AvroCompressionCodec
from pyiceberg.manifest import (
    MANIFEST_LIST_FILE_SCHEMAS,
    UNASSIGNED_SEQ,
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec, partition_record_value
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, SnapshotSummaryCollector, Summary, update_snapshot_summaries
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER_ID
from pyiceberg.typedef import Record

from lambda_fn.iceberg.arrow_schema import arrow_schema, field_id_of
from lambda_fn.iceberg.column_metrics import measured_columns, metrics_of
from lambda_fn.iceberg.group_commit.member_manifest import MemberManifest, with_members
from lambda_fn.iceberg.memory_file import MemoryFile, NewFile
from lambda_fn.iceberg.rows import EMBEDDING_FIELD_ID, arrow_rows, value_of_field
from lambda_fn.iceberg.snapshots import next_sequence_number
from lambda_fn.sale import Sale

FORMAT_VERSION: Final = 2
AVRO_CODEC: Final[AvroCompressionCodec] = "deflate"
PARQUET_CODECS: Final = frozenset({"zstd", "snappy", "gzip", "brotli", "lz4"})
DEFAULT_PARQUET_CODEC: Final = "zstd"


@dataclass(frozen=True)
class ManifestList:
    """The manifest list of a snapshot with this parent, None for a table's first, and this sequence number.

    ``manifests`` are its entries: the added manifest first, then the parent's.
    """

    parent_id: int | None
    sequence_number: int
    file: NewFile
    manifests: tuple[ManifestFile, ...]

    def fits(self, metadata: TableMetadata) -> bool:
        """Return whether the next snapshot on the table's head has this parent and this sequence number.

        A commit to another branch takes a sequence number and leaves the head as it is.
        """
        head = metadata.current_snapshot_id, next_sequence_number(metadata)
        return (self.parent_id, self.sequence_number) == head


@dataclass
class StagedFiles:
    """The data files and the manifest of an append, and the schema and partition spec that they were made with.

    ``pending`` are the files that still have to be uploaded, by location. ``manifest_list`` is for the next commit
    request only.
    """

    attempt_id: int
    schema_id: int
    spec_id: int
    data_files: tuple[DataFile, ...]
    manifest: ManifestFile
    pending: dict[str, NewFile] = field(default_factory=dict)
    manifest_list: ManifestList | None = None

    def as_member(self) -> MemberManifest:
        """Return the manifest in the form in which another writer can list it."""
        size_bytes = sum(data_file.file_size_in_bytes for data_file in self.data_files)
        return MemberManifest(self.manifest, self.schema_id, self.spec_id, size_bytes)

    def files_to_share(self) -> list[NewFile]:
        """Return the pending files without the manifest list: those that a leader needs."""
        own_list = self.manifest_list.file.location if self.manifest_list is not None else None
        return [file for location, file in self.pending.items() if location != own_list]

    def replace_manifest_list(self, manifest_list: ManifestList | None) -> None:
        """Use this manifest list for the next request. The one before it no longer has to be uploaded."""
        if self.manifest_list is not None:
            self.pending.pop(self.manifest_list.file.location, None)
        if manifest_list is not None:
            self.pending[manifest_list.file.location] = manifest_list.file
        self.manifest_list = manifest_list


def stage(table: Table, sales: Sequence[Sale], attempt_id: int) -> StagedFiles:
    """Make a Parquet file for each partition of the sales, and a manifest of these files. Raises ColumnsMissing."""
    metadata, schema, spec = table.metadata, table.schema(), table.spec()
    locations = table.location_provider()
    columns, measured = arrow_schema(schema), measured_columns(schema, metadata.properties)
    codec = parquet_codec(metadata.properties)
    data_files: list[DataFile] = []
    pending: list[NewFile] = []
    for number, (partition, members) in enumerate(_by_partition(sales, schema, spec)):
        location = locations.new_data_location(f"{attempt_id}-{number}-{uuid.uuid4()}.parquet")
        content, footer = parquet_file(arrow_rows(members, columns), codec)
        data_files.append(_data_file(location, len(content), partition, metrics_of(footer, measured)))
        pending.append(NewFile(location, content))
    manifest_file = MemoryFile(locations.new_metadata_location(f"{uuid.uuid4()}-m0.avro"))
    with write_manifest(FORMAT_VERSION, spec, schema, manifest_file, attempt_id, AVRO_CODEC) as writer:
        for data_file in data_files:
            writer.add_entry(_added(data_file))
    manifest = writer.to_manifest_file()
    pending.append(manifest_file.as_new_file())
    by_location = {file.location: file for file in pending}
    return StagedFiles(attempt_id, schema.schema_id, spec.spec_id, tuple(data_files), manifest, by_location)


def manifest_list(
    table: Table, snapshot_id: int, added: Sequence[ManifestFile], existing: Sequence[ManifestFile]
) -> ManifestList:
    """Make the manifest list of a snapshot on the table's head, in a file with a new name."""
    output = MemoryFile(table.location_provider().new_metadata_location(f"snap-{snapshot_id}-{uuid.uuid4()}.avro"))
    parent_id, number = table.metadata.current_snapshot_id, next_sequence_number(table.metadata)
    manifests = (*(_assigned(manifest, snapshot_id, number) for manifest in added), *existing)
    with write_manifest_list(FORMAT_VERSION, output, snapshot_id, parent_id, number, AVRO_CODEC) as writer:
        writer.add_manifests(list(manifests))
    return ManifestList(parent_id, number, output.as_new_file(), manifests)


def _assigned(manifest: ManifestFile, snapshot_id: int, sequence_number: int) -> ManifestFile:
    """Return a copy of a new manifest that belongs to a snapshot (Iceberg specification, "Manifest Lists").

    The manifest's entries inherit the snapshot's id and sequence number from here.

    pyiceberg's writer would assign the numbers to the original: it makes a shallow copy, which shares its values with
    the original. After a conflict the manifest would keep the number of a snapshot that never landed, and its rows
    would seem older than deletes that came before them.
    """
    fields = MANIFEST_LIST_FILE_SCHEMAS[FORMAT_VERSION].fields
    values = {field.name: getattr(manifest, field.name) for field in fields}
    values |= {"added_snapshot_id": snapshot_id, "sequence_number": sequence_number}
    if manifest.min_sequence_number == UNASSIGNED_SEQ:
        values["min_sequence_number"] = sequence_number
    return ManifestFile.from_args(_table_format_version=FORMAT_VERSION, **values)


def summary(
    table: Table, staged: StagedFiles, members: Sequence[MemberManifest], properties: Mapping[str, str]
) -> Summary:
    """Return the snapshot's summary: the files it adds, the table's new totals, and the given properties."""
    collector = SnapshotSummaryCollector()
    for data_file in staged.data_files:
        collector.add_file(data_file, table.schema(), table.spec())
    head = table.current_snapshot()
    previous = head.summary.additional_properties if head is not None and head.summary is not None else None
    added = with_members(collector.build(), members)
    return update_snapshot_summaries(Summary(Operation.APPEND, **added, **properties), previous)


def _by_partition(
    sales: Sequence[Sale], schema: Schema, spec: PartitionSpec
) -> Iterable[tuple[Record, Sequence[Sale]]]:
    """Group the sales by partition. Each distinct value is transformed once, not once for each sale."""
    values_of = [value_of_field(spec_field.source_id) for spec_field in spec.fields]
    same_values: dict[tuple[Any, ...], list[Sale]] = {}
    for sale in sales:
        same_values.setdefault(tuple([value_of(sale) for value_of in values_of]), []).append(sale)
    transforms = [_transform(schema, spec_field) for spec_field in spec.fields]
    groups: dict[tuple[Any, ...], list[Sale]] = {}
    for values, members in same_values.items():
        partition = tuple(transform(value) for transform, value in zip(transforms, values, strict=True))
        groups.setdefault(partition, []).extend(members)
    return [(Record(*partition), members) for partition, members in groups.items()]


def _transform(schema: Schema, spec_field: PartitionField) -> Callable[[Any], Any]:
    apply = spec_field.transform.transform(schema.find_field(spec_field.source_id).field_type)
    return lambda value: apply(partition_record_value(spec_field, value, schema))


def parquet_codec(properties: Mapping[str, str]) -> str:
    """Return the compression codec of a table's Parquet files (Iceberg documentation, "Write properties").

    A name that pyarrow does not know counts as the default.
    """
    codec = properties.get(TableProperties.PARQUET_COMPRESSION, DEFAULT_PARQUET_CODEC).strip().lower()
    if codec == "uncompressed":
        return "none"
    return codec if codec in PARQUET_CODECS else DEFAULT_PARQUET_CODEC


def parquet_file(rows: pa.Table, codec: str = DEFAULT_PARQUET_CODEC) -> tuple[bytes, pq.FileMetaData]:
    """Return a Parquet file and its footer.

    The numbers of an embedding hardly ever repeat. A dictionary would not help, so their bytes are split by
    significance, which compresses better.
    """
    sink = pa.BufferOutputStream()
    embedding = next((column.name for column in rows.schema if field_id_of(column) == EMBEDDING_FIELD_ID), None)
    plain = [column for column in rows.schema.names if column != embedding]
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression=codec,
        use_dictionary=plain,
        write_statistics=plain,
        column_encoding={f"{embedding}.list.element": "BYTE_STREAM_SPLIT"} if embedding else None,
        store_decimal_as_integer=True,
    ) as writer:
        writer.write_table(rows)
    content = sink.getvalue()
    return content.to_pybytes(), pq.read_metadata(pa.BufferReader(content))


def _data_file(location: str, size_bytes: int, partition: Record, metrics: Mapping[str, Any]) -> DataFile:
    return DataFile.from_args(
        _table_format_version=FORMAT_VERSION,
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=size_bytes,
        # Missing means the same (Iceberg specification, "Data File Fields", field 140), but Trino's $entries needs it.
        sort_order_id=UNSORTED_SORT_ORDER_ID,
        **metrics,
    )


def _added(data_file: DataFile) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.ADDED,
        # Inherited from the manifest list. Only the writer that commits it knows them: it may be the leader of a group
        # (Iceberg specification, "Sequence Number Inheritance" and "Manifests", field 1).
        snapshot_id=None,
        sequence_number=None,
        file_sequence_number=None,
        data_file=data_file,
    )
