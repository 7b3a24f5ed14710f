"""The rows of the Iceberg table as sales, read file by file and partition by partition: never the table as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from lambda_fn.iceberg.rows import EMBEDDING_FIELD_ID, FACTS, VALUE_OF_FIELD
from lambda_fn.sale import Sale, Vector

ROWS_AT_ONCE: Final = 512
FILES_AT_ONCE: Final = 8
# Smaller files are read together, for their round trips; what is read together is in memory together.
SMALL_FILE_BYTES: Final = 4 * 1024 * 1024

_FIELD_ID: Final = b"PARQUET:field_id"
_INGESTION_TIMESTAMP: Final = 23
_WANTED: Final = frozenset(VALUE_OF_FIELD) | {EMBEDDING_FIELD_ID}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# By field id; the table's own names may be others after a rename. Embeddings are read apart, without Python numbers.
_FACTS: Final = {field_id: name for field_id, name in FACTS.items() if field_id != EMBEDDING_FIELD_ID}
# Columns that came later: files that were written before have none, and their rows are null.
_LATER: Final = frozenset({25})
_DERIVED: Final = tuple(sorted(_WANTED - frozenset(_FACTS) - {EMBEDDING_FIELD_ID, _INGESTION_TIMESTAMP}))

Columns = dict[int, pa.Array]


@dataclass(frozen=True)
class Row:
    """A row. ``derived_well``: the columns that follow from others (season, discount, ...) hold what follows."""

    sale: Sale
    derived_well: bool


def read_rows(
    table: Table, file_done: Callable[[int, int], None], known_files: Collection[str] = frozenset()
) -> Iterator[Row]:
    """Yield every row of the table's present snapshot, one partition after the other, but for those of known files.

    ``file_done`` is called with the number of files read and of all files. Memory: a few small files, or one large
    one. Raises what pyiceberg and the file access raise when a file can't be read.
    """
    planned = [task for task in table.scan().plan_files() if task.file.file_path not in known_files]
    tasks = sorted(planned, key=lambda task: (repr(task.file.partition), task.file.file_path))
    done = 0
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for group in _groups(tasks):
            if len(group) == 1:
                files: Iterator[Iterator[Columns] | list[Columns]] = iter([_read(table, group[0])])
            else:
                files = pool.map(lambda task: list(_read(table, task)), group)
            for file in files:
                for columns in file:
                    yield from _rows(columns)
                done += 1
                file_done(done, len(tasks))
    file_done(done, len(tasks))


def _groups(tasks: Sequence[FileScanTask]) -> Iterator[list[FileScanTask]]:
    group: list[FileScanTask] = []
    for task in tasks:
        if task.file.file_size_in_bytes > SMALL_FILE_BYTES:
            yield [task]
            continue
        group.append(task)
        if len(group) == FILES_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _read(table: Table, task: FileScanTask) -> Iterator[Columns]:
    """Read a data file: by itself where that is enough, else the way pyiceberg scans."""
    if task.delete_files:
        return read_by_scan(table, task)
    return read_by_field_ids(table, task)


def read_by_field_ids(table: Table, task: FileScanTask) -> Iterator[Columns]:
    """Read a data file a few rows at a time; one that lacks a column is left to :func:`read_by_scan`."""
    with table.io.new_input(task.file.file_path).open() as stream, pq.ParquetFile(stream) as file:
        names = {
            int(field.metadata[_FIELD_ID]): field.name
            for field in file.schema_arrow
            if field.metadata and _FIELD_ID in field.metadata
        }
        if names.keys() >= _WANTED - _LATER:
            present = sorted(_WANTED & names.keys())
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=[names[one] for one in present]):
                columns = {field_id: batch.column(names[field_id]) for field_id in present}
                yield _with_later_columns(columns, batch.num_rows)
            return
    yield from read_by_scan(table, task)


def read_by_scan(table: Table, task: FileScanTask) -> Iterator[Columns]:
    """Read a data file as pyiceberg's scan does: without deleted rows, and all of it at once."""
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    position = {field.field_id: number for number, field in enumerate(table.schema().fields)}
    for batch in scan.to_record_batches([task]):
        columns = {field_id: batch.column(position[field_id]) for field_id in _WANTED if field_id in position}
        yield _with_later_columns(columns, batch.num_rows)


def _with_later_columns(columns: Columns, rows: int) -> Columns:
    """Fill columns that the table, or a file of it, has not: it is older than they are."""
    return columns | {field_id: pa.nulls(rows) for field_id in _LATER - columns.keys()}


def _rows(columns: Columns) -> Iterator[Row]:
    facts = {name: columns[field_id].to_pylist() for field_id, name in _FACTS.items()}
    derived = {field_id: columns[field_id].to_pylist() for field_id in _DERIVED}
    # As numbers: a time zone for each of them would take longer than all the rest of the row.
    recorded = columns[_INGESTION_TIMESTAMP].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    for number, embedding in enumerate(_embeddings(columns[EMBEDDING_FIELD_ID])):
        fields: dict[str, Any] = {name: values[number] for name, values in facts.items()}
        recorded_at = _EPOCH + timedelta(microseconds=recorded[number])
        sale = Sale(recorded_at=recorded_at, embedding=embedding, **fields)
        well = all(VALUE_OF_FIELD[field_id](sale) == values[number] for field_id, values in derived.items())
        yield Row(sale, well)


def _embeddings(column: pa.Array) -> Iterator[Vector | None]:
    """Yield each row's vector by memory copy: a thousand numbers a row would be the slowest part of it all."""
    values = column.values.cast(pa.float32()).fill_null(float("nan"))
    content = memoryview(values.buffers()[1] or b"")
    first = values.offset
    offsets = column.offsets.to_pylist()
    for number, present in enumerate(column.is_valid().to_pylist()):
        vector = Vector("f")
        start, end = first + offsets[number], first + offsets[number + 1]
        vector.frombytes(content[start * vector.itemsize : end * vector.itemsize])
        yield vector if present else None


def files_of(table: Table) -> frozenset[str]:
    """Return the data files of the table's present snapshot."""
    return frozenset(task.file.file_path for task in table.scan().plan_files())
