"""The files of one append, made in memory: Parquet by partition, one manifest over them, and the manifest list."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.avro.codecs import AvroCompressionCodec
from pyiceberg.manifest import (
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
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, SnapshotSummaryCollector, Summary, update_snapshot_summaries
from pyiceberg.typedef import Record

from lambda_fn.iceberg.arrow_schema import arrow_schema, field_id_of
from lambda_fn.iceberg.column_metrics import measured_columns, metrics_of
from lambda_fn.iceberg.memory_file import MemoryFile, NewFile
from lambda_fn.iceberg.rows import EMBEDDING_FIELD_ID, arrow_rows, value_of_field
from lambda_fn.iceberg.snapshots import next_sequence_number
from lambda_fn.sale import Sale

FORMAT_VERSION: Final = 2
AVRO_CODEC: Final[AvroCompressionCodec] = "deflate"
PARQUET_CODEC: Final = "zstd"


@dataclass(frozen=True)
class ManifestList:
    """The manifest list of a snapshot in one place, which is the head before it and its sequence number.

    It carries the head's ``existing`` manifests on.
    """

    place: tuple[int, int]
    file: NewFile
    existing: Sequence[ManifestFile]


@dataclass
class StagedFiles:
    """The data files and the manifest of one append, under the schema and partition spec that they were made with.

    ``pending`` are those still to be uploaded, by location. ``manifest_list`` is for the next try to commit, and for
    no other: an older try of the same attempt may still take effect, and needs its own.
    """

    attempt_id: int
    schema_id: int
    spec_id: int
    data_files: tuple[DataFile, ...]
    manifest: ManifestFile
    pending: dict[str, NewFile] = field(default_factory=dict)
    manifest_list: ManifestList | None = None

    def list_manifests(self, manifest_list: ManifestList | None) -> None:
        """Use this manifest list for the next try; one that was made before and not uploaded never has to be."""
        if self.manifest_list is not None:
            self.pending.pop(self.manifest_list.file.location, None)
        if manifest_list is not None:
            self.pending[manifest_list.file.location] = manifest_list.file
        self.manifest_list = manifest_list


def stage(table: Table, sales: Sequence[Sale], attempt_id: int) -> StagedFiles:
    """Make one Parquet file for each partition among the sales, and one manifest that lists them."""
    metadata, schema, spec = table.metadata, table.schema(), table.spec()
    locations = table.location_provider()
    columns, measured = arrow_schema(schema), measured_columns(schema, metadata.properties)
    data_files: list[DataFile] = []
    pending: list[NewFile] = []
    for number, (partition, members) in enumerate(_by_partition(sales, schema, spec)):
        location = locations.new_data_location(f"{attempt_id}-{number}-{uuid.uuid4()}.parquet")
        content, footer = parquet_file(arrow_rows(members, columns))
        metrics = metrics_of(footer, measured)
        data_files.append(_data_file(spec.spec_id, location, len(content), partition, metrics))
        pending.append(NewFile(location, content))
    manifest_file = MemoryFile(locations.new_metadata_location(f"{uuid.uuid4()}-m0.avro"))
    with write_manifest(FORMAT_VERSION, spec, schema, manifest_file, attempt_id, AVRO_CODEC) as writer:
        for data_file in data_files:
            writer.add_entry(_added(attempt_id, data_file))
    manifest = writer.to_manifest_file()
    pending.append(manifest_file.as_new_file())
    by_location = {file.location: file for file in pending}
    return StagedFiles(attempt_id, schema.schema_id, spec.spec_id, tuple(data_files), manifest, by_location)


def manifest_list(table: Table, snapshot_id: int, manifests: Sequence[ManifestFile]) -> NewFile:
    """Make the manifest list of a snapshot on top of the table's head. Its name is new each time."""
    output = MemoryFile(table.location_provider().new_metadata_location(f"snap-{snapshot_id}-{uuid.uuid4()}.avro"))
    metadata = table.metadata
    with write_manifest_list(
        FORMAT_VERSION,
        output,
        snapshot_id,
        metadata.current_snapshot_id,
        next_sequence_number(metadata),
        AVRO_CODEC,
    ) as writer:
        writer.add_manifests(list(manifests))
    return output.as_new_file()


def summary(table: Table, staged: StagedFiles, properties: Mapping[str, str]) -> Summary:
    """Return the snapshot's summary: what it adds, the table's new totals, and the given properties."""
    collector = SnapshotSummaryCollector()
    for data_file in staged.data_files:
        collector.add_file(data_file, table.schema(), table.spec())
    head = table.current_snapshot()
    previous = head.summary.additional_properties if head is not None and head.summary is not None else None
    return update_snapshot_summaries(Summary(Operation.APPEND, **collector.build(), **properties), previous)


def _by_partition(
    sales: Sequence[Sale], schema: Schema, spec: PartitionSpec
) -> Iterable[tuple[Record, Sequence[Sale]]]:
    """Group the sales. Their values are few: each is transformed once, and not for each sale."""
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


def parquet_file(rows: pa.Table) -> tuple[bytes, pq.FileMetaData]:
    """Write one Parquet file. Numbers of an embedding hardly repeat: their bytes are split by significance instead."""
    sink = pa.BufferOutputStream()
    embedding = next((column.name for column in rows.schema if field_id_of(column) == EMBEDDING_FIELD_ID), None)
    plain = [column for column in rows.schema.names if column != embedding]
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression=PARQUET_CODEC,
        use_dictionary=plain,
        write_statistics=plain,
        column_encoding={f"{embedding}.list.element": "BYTE_STREAM_SPLIT"} if embedding else None,
        store_decimal_as_integer=True,
    ) as writer:
        writer.write_table(rows)
    content = sink.getvalue()
    return content.to_pybytes(), pq.read_metadata(pa.BufferReader(content))


def _data_file(spec_id: int, location: str, size_bytes: int, partition: Record, metrics: Mapping[str, Any]) -> DataFile:
    data_file = DataFile.from_args(
        _table_format_version=FORMAT_VERSION,
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=size_bytes,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **metrics,
    )
    data_file.spec_id = spec_id
    return data_file


def _added(attempt_id: int, data_file: DataFile) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.ADDED,
        snapshot_id=attempt_id,
        sequence_number=None,
        file_sequence_number=None,
        data_file=data_file,
    )
