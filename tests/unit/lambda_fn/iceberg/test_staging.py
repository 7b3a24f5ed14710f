"""The files of an append, read back. All are in memory until they are uploaded."""

from __future__ import annotations

import io
import re
from array import array
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.avro.file import AvroFile
from pyiceberg.manifest import (
    UNASSIGNED_SEQ,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    read_manifest_list,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import NestedField, StringType

from lambda_fn.iceberg.arrow_schema import arrow_schema
from lambda_fn.iceberg.memory_file import NewFile
from lambda_fn.iceberg.rows import arrow_rows
from lambda_fn.iceberg.staging import (
    ManifestList,
    StagedFiles,
    manifest_list,
    parquet_codec,
    parquet_file,
    stage,
    summary,
)
from schemas.evolution.migration import current_schema
from tests.builders import sale
from tests.unit.lambda_fn.iceberg.one_table import SCHEMA_ID, SPEC_ID, OneTable

ATTEMPT = 77
SALES = [sale(sale_id="a"), sale(sale_id="b", tenant_id="other"), sale(sale_id="c")]
EMBEDDING = "embedding_vector.list.element"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SOLD_DATE_FIELD, UNKNOWN_FIELD = 11, 900


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return OneTable(tmp_path).table


def with_head(table: Table, head: int | None, last_number: int, totals: dict[str, str] | None = None) -> Table:
    """Return the table with a snapshot as its head, and with the sequence number of its last commit."""
    snapshots = []
    if head is not None:
        found = Summary(Operation.APPEND, **totals) if totals is not None else None
        snapshots = [Snapshot(snapshot_id=head, manifest_list="s3://list.avro", summary=found)]
    changes = {"current_snapshot_id": head, "last_sequence_number": last_number, "snapshots": snapshots}
    metadata = table.metadata.model_copy(update=changes)
    return Table(table.name(), metadata, table.metadata_location, table.io, table.catalog)


def upload(table: Table, *files: NewFile) -> None:
    for file in files:
        with table.io.new_output(file.location).create() as stream:
            stream.write(file.content)


def entries_of(table: Table, staged: StagedFiles) -> list[ManifestEntry]:
    upload(table, *staged.pending.values())
    return staged.manifest.fetch_manifest_entry(table.io)


def header_of(table: Table, location: str) -> dict[str, str]:
    """Return the properties in the header of an Avro file."""
    with AvroFile[Record](table.io.new_input(location)) as file:
        return dict(file.header.meta)


def rows_in(content: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows


# --- an append -------------------------------------------------------------------------------------------------------


def test_an_append_is_a_data_file_for_each_partition_and_a_manifest(table: Table) -> None:
    staged = stage(table, SALES, ATTEMPT)
    assert (staged.attempt_id, staged.schema_id, staged.spec_id) == (ATTEMPT, SCHEMA_ID, SPEC_ID)
    assert staged.manifest.partition_spec_id == SPEC_ID
    *data, manifest = staged.pending.values()
    assert [[row["sale_id"] for row in rows_in(file.content)] for file in data] == [["a", "c"], ["b"]]
    assert [file.file_path for file in staged.data_files] == [file.location for file in data]
    assert [file.file_size_in_bytes for file in staged.data_files] == [len(file.content) for file in data]
    assert (staged.manifest.manifest_path, staged.manifest.manifest_length) == (
        manifest.location,
        len(manifest.content),
    )
    assert list(staged.pending) == [file.location for file in (*data, manifest)]


def test_the_names_of_the_files_are_new_and_show_the_attempt(table: Table) -> None:
    first, second = (list(stage(table, SALES, ATTEMPT).pending) for _ in range(2))
    assert not set(first) & set(second)
    names = [location.removeprefix(table.location()) for location in first]
    assert re.fullmatch(rf"/data/(.*/)?{ATTEMPT}-0-{UUID}\.parquet", names[0])
    assert re.fullmatch(rf"/data/(.*/)?{ATTEMPT}-1-{UUID}\.parquet", names[1])
    assert re.fullmatch(rf"/metadata/{UUID}-m0\.avro", names[2])


def test_the_entries_of_a_manifest_inherit_what_only_its_leader_knows(table: Table) -> None:
    staged = stage(table, SALES, ATTEMPT)
    entries = entries_of(table, staged)
    assert [entry.status for entry in entries] == [ManifestEntryStatus.ADDED] * 2
    header = header_of(table, staged.manifest.manifest_path)
    assert (header["format-version"], header["avro.codec"]) == ("2", "deflate")
    with AvroFile[Record](table.io.new_input(staged.manifest.manifest_path)) as file:
        assert [tuple(record[position] for position in (1, 2, 3)) for record in file] == [(None, None, None)] * 2
    assert staged.manifest.added_snapshot_id == ATTEMPT
    assert (staged.manifest.sequence_number, staged.manifest.min_sequence_number) == (UNASSIGNED_SEQ, UNASSIGNED_SEQ)


def test_an_entry_describes_its_data_file(table: Table) -> None:
    staged = stage(table, SALES, ATTEMPT)
    for entry, file in zip(entries_of(table, staged), staged.data_files, strict=True):
        found = entry.data_file
        assert (found.content, found.file_format) == (DataFileContent.DATA, FileFormat.PARQUET)
        assert (found.file_path, found.file_size_in_bytes) == (file.file_path, file.file_size_in_bytes)
        assert found.partition == file.partition
        assert found.record_count == len(rows_in(staged.pending[file.file_path].content))
        assert found.lower_bounds == file.lower_bounds
        assert found.lower_bounds


def test_sales_are_grouped_by_the_transformed_values(tmp_path: Path) -> None:
    """A date's partition is a day since 1970, and a column that the code does not know has no value."""
    schema = Schema(*current_schema().fields, NestedField(UNKNOWN_FIELD, "unknown", StringType(), required=False))
    spec = PartitionSpec(
        PartitionField(SOLD_DATE_FIELD, 1000, DayTransform(), "day"),
        PartitionField(UNKNOWN_FIELD, 1001, IdentityTransform(), "unknown"),
    )
    days = [1, 2, 1]
    sales = [sale(sale_id=str(number), sold_date=date(1970, 1, day)) for number, day in enumerate(days)]
    created = OneTable(tmp_path, schema, spec).table
    staged = stage(created, sales, ATTEMPT)
    assert [tuple(file.partition[position] for position in range(2)) for file in staged.data_files] == [
        (0, None),
        (1, None),
    ]
    *data, _ = staged.pending.values()
    assert [[row["sale_id"] for row in rows_in(file.content)] for file in data] == [["0", "2"], ["1"]]


# --- the manifest list -----------------------------------------------------------------------------------------------


def manifest(path: str, snapshot_id: int, number: int, min_number: int) -> ManifestFile:
    return ManifestFile.from_args(
        manifest_path=path,
        manifest_length=10,
        partition_spec_id=0,
        content=0,
        sequence_number=number,
        min_sequence_number=min_number,
        added_snapshot_id=snapshot_id,
        added_files_count=1,
        existing_files_count=0,
        deleted_files_count=0,
        added_rows_count=1,
        existing_rows_count=0,
        deleted_rows_count=0,
        partitions=[],
        key_metadata=None,
    )


def numbers_of(manifests: list[ManifestFile]) -> list[tuple[str, int | None, int, int]]:
    return [
        (each.manifest_path, each.added_snapshot_id, each.sequence_number, each.min_sequence_number)
        for each in manifests
    ]


@pytest.mark.parametrize("head", [None, 5])
def test_a_manifest_list_assigns_its_snapshot_to_the_added_manifests(table: Table, head: int | None) -> None:
    created = with_head(table, head, last_number=8)
    new, merged = manifest("new", -1, UNASSIGNED_SEQ, UNASSIGNED_SEQ), manifest("merged", -1, UNASSIGNED_SEQ, 2)
    old = manifest("old", 4, 3, 3)
    made = manifest_list(created, ATTEMPT, [new, merged], [old])
    expected = [("new", ATTEMPT, 9, 9), ("merged", ATTEMPT, 9, 2), ("old", 4, 3, 3)]
    assert (made.parent_id, made.sequence_number) == (head, 9)
    assert numbers_of(list(made.manifests)) == expected
    assert new.sequence_number == UNASSIGNED_SEQ, "the next list assigns other numbers"
    upload(created, made.file)
    assert numbers_of(list(read_manifest_list(created.io.new_input(made.file.location)))) == expected
    header = header_of(created, made.file.location)
    assert (header["snapshot-id"], header["sequence-number"], header["format-version"]) == (str(ATTEMPT), "9", "2")
    assert header["parent-snapshot-id"] == ("null" if head is None else str(head))
    assert header["avro.codec"] == "deflate"


def test_each_manifest_list_has_a_new_name_with_its_snapshot(table: Table) -> None:
    """An earlier request may still take effect, and needs its list."""
    first, second = (manifest_list(table, ATTEMPT, [], []).file.location for _ in range(2))
    assert first != second
    assert re.fullmatch(rf"/metadata/snap-{ATTEMPT}-{UUID}\.avro", first.removeprefix(table.location()))


def test_a_manifest_list_fits_one_head_and_one_sequence_number(table: Table) -> None:
    made = manifest_list(with_head(table, 5, 8), ATTEMPT, [], [])
    assert made.fits(with_head(table, 5, 8).metadata)
    assert not made.fits(with_head(table, 5, 9).metadata), "another branch has a new snapshot"
    assert not made.fits(with_head(table, 6, 8).metadata)
    assert not made.fits(with_head(table, None, 8).metadata)


def staged_files(*locations: str) -> StagedFiles:
    pending = {location: NewFile(location, b"") for location in locations}
    return StagedFiles(ATTEMPT, 0, 0, (), manifest("m", -1, UNASSIGNED_SEQ, UNASSIGNED_SEQ), pending)


def test_only_the_last_manifest_list_is_uploaded_and_none_is_shared() -> None:
    staged = staged_files("data", "manifest")
    lists = [ManifestList(None, 1, NewFile(location, b""), ()) for location in ("list 1", "list 2")]
    assert [file.location for file in staged.files_to_share()] == ["data", "manifest"]
    for each in lists:
        staged.replace_manifest_list(each)
        assert staged.manifest_list is each
        assert list(staged.pending) == ["data", "manifest", each.file.location]
        assert staged.pending[each.file.location] is each.file
        assert [file.location for file in staged.files_to_share()] == ["data", "manifest"]
    del staged.pending["list 2"]
    staged.replace_manifest_list(None)
    assert staged.manifest_list is None
    assert list(staged.pending) == ["data", "manifest"]


# --- the summary -----------------------------------------------------------------------------------------------------


def test_the_size_of_a_member_is_that_of_its_data_files(table: Table) -> None:
    staged = stage(table, SALES, ATTEMPT)
    member = staged.as_member()
    assert member.size_bytes == sum(file.file_size_in_bytes for file in staged.data_files)
    assert (member.manifest, member.schema_id, member.spec_id) == (staged.manifest, staged.schema_id, staged.spec_id)


@pytest.mark.parametrize(
    ("head", "totals", "records"),
    [(None, None, "3"), (5, {"total-records": "10"}, "13"), (5, None, "3")],
    ids=["first", "next", "after a snapshot without a summary"],
)
def test_a_summary_adds_to_the_totals_of_the_head(
    table: Table, head: int | None, totals: dict[str, str] | None, records: str
) -> None:
    created = with_head(table, head, 8, totals)
    made = summary(created, stage(created, SALES, ATTEMPT), [], {"carousel.fenced-attempts": "7"})
    assert made.operation is Operation.APPEND
    found = made.additional_properties
    assert (found["added-records"], found["added-data-files"], found["changed-partition-count"]) == ("3", "2", "2")
    assert found["total-records"] == records
    assert found["carousel.fenced-attempts"] == "7"


def test_a_summary_counts_the_files_of_members(table: Table) -> None:
    member = stage(table, SALES[:1], 78).as_member()
    found = summary(table, stage(table, SALES, ATTEMPT), [member], {}).additional_properties
    assert (found["added-records"], found["added-data-files"]) == ("4", "3")


# --- Parquet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("zstd", "zstd"),
        (" GZIP\n", "gzip"),
        ("snappy", "snappy"),
        ("brotli", "brotli"),
        ("lz4", "lz4"),
        ("Uncompressed", "none"),
        ("lzo", "zstd"),
        ("", "zstd"),
    ],
)
def test_the_codec_is_a_property_of_the_table(text: str, codec: str) -> None:
    assert parquet_codec({"write.parquet.compression-codec": text}) == codec


def test_the_default_codec_is_zstd() -> None:
    assert parquet_codec({}) == "zstd"


def test_a_column_of_few_values_has_a_dictionary_and_an_embedding_has_none() -> None:
    rows = arrow_rows([sale(embedding=array("f", [0.5, 0.25]))], arrow_schema(current_schema()))
    content, footer = parquet_file(rows, "gzip")
    group = footer.row_group(0)
    chunks = {chunk.path_in_schema: chunk for chunk in map(group.column, range(group.num_columns))}
    embedding = chunks.pop(EMBEDDING)
    assert "BYTE_STREAM_SPLIT" in embedding.encodings
    assert not embedding.has_dictionary_page
    assert not embedding.is_stats_set
    assert {chunk.compression for chunk in (embedding, *chunks.values())} == {"GZIP"}
    assert all(chunk.has_dictionary_page and chunk.is_stats_set for chunk in chunks.values())
    assert chunks["sold_price"].physical_type == "INT64"
    assert footer.equals(pq.read_metadata(io.BytesIO(content)))
    assert rows_in(content) == rows.to_pylist()


def test_a_table_may_have_no_embedding() -> None:
    schema = Schema(*(column for column in current_schema().fields if column.name != "embedding_vector"))
    rows = arrow_rows([sale(embedding=None)], arrow_schema(schema))
    content, _ = parquet_file(rows)
    assert rows_in(content) == rows.to_pylist()
