"""Reads the rows of the Iceberg table as sales: file by file, partition by partition, never the table as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from more_itertools import constrained_batches
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from lambda_fn.fields import FACTS, FIELDS, Role, Vector
from lambda_fn.iceberg.rows import EMBEDDING_FIELD_ID, VALUE_OF_FIELD
from lambda_fn.sale import Sale
from schemas.sales_history import FIRST_SCHEMA

ROWS_AT_ONCE: Final = 512
FILES_AT_ONCE: Final = 8
# Files are read together, to share round trips, as long as their average is smaller: they are in memory together.
SMALL_FILE_BYTES: Final = 4 * 1024 * 1024

_FIELD_ID: Final = b"PARQUET:field_id"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# By field id, because a column may have been renamed. Embeddings are read separately, without Python numbers.
_FACTS: Final = {fact.field_id: fact.attribute for fact in FACTS if fact.field_id != EMBEDDING_FIELD_ID}
_DERIVED: Final = tuple(field.field_id for field in FIELDS if field.role is Role.DERIVED)
(_RECORDED_AT,) = (field.field_id for field in FIELDS if field.role is Role.ENVELOPE)
_WANTED: Final = frozenset(field.field_id for field in FIELDS)
# Files that are older than these columns do not have them. Their rows are null.
_ADDED: Final = _WANTED - {column.field_id for column in FIRST_SCHEMA.fields}

Columns = dict[int, pa.Array]


@dataclass(frozen=True)
class Row:
    """A row as a sale. ``derived_correctly``: season, discount and the other derived columns agree with the facts."""

    sale: Sale
    derived_correctly: bool


def read_rows(
    table: Table, file_done: Callable[[int, int], None], known_files: Collection[str] = frozenset()
) -> Iterator[Row]:
    """Yield the rows of the table's current snapshot, one partition after the other, except those of known files.

    ``file_done`` is called with the number of files read and the number of all files. Memory holds a few small files,
    or one large one. Raises what pyiceberg and its file access raise when a file can't be read.
    """
    planned = [task for task in table.scan().plan_files() if task.file.file_path not in known_files]
    tasks = sorted(planned, key=lambda task: (repr(task.file.partition), task.file.file_path))
    groups: Iterator[Sequence[FileScanTask]] = constrained_batches(
        tasks, FILES_AT_ONCE * SMALL_FILE_BYTES, FILES_AT_ONCE, attrgetter("file.file_size_in_bytes"), strict=False
    )
    done = 0
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for group in groups:
            if len(group) == 1:
                files: Iterator[Iterator[Columns] | list[Columns]] = iter([_read(table, group[0])])
            else:
                files = pool.map(lambda task: list(_read(table, task)), group)
            for file in files:
                for columns in file:
                    yield from rows_of(columns)
                done += 1
                file_done(done, len(tasks))
    file_done(done, len(tasks))


def _read(table: Table, task: FileScanTask) -> Iterator[Columns]:
    """Read a data file, directly unless deleted rows have to be left out."""
    return read_by_scan(table, task) if task.delete_files else read_by_field_ids(table, task)


def read_by_field_ids(table: Table, task: FileScanTask) -> Iterator[Columns]:
    """Read a data file, a few rows at a time. A file without one of the columns is read by :func:`read_by_scan`."""
    with table.io.new_input(task.file.file_path).open() as stream, pq.ParquetFile(stream) as file:
        names = {
            int(field.metadata[_FIELD_ID]): field.name
            for field in file.schema_arrow
            if field.metadata and _FIELD_ID in field.metadata
        }
        if names.keys() >= _WANTED - _ADDED:
            present = sorted(_WANTED & names.keys())
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=[names[field_id] for field_id in present]):
                columns = {field_id: batch.column(names[field_id]) for field_id in present}
                yield _with_added_columns(columns, batch.num_rows)
            return
    yield from read_by_scan(table, task)


def read_by_scan(table: Table, task: FileScanTask) -> Iterator[Columns]:
    """Read a data file with pyiceberg's scan: without deleted rows, and all of it at once."""
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    position = {field.field_id: number for number, field in enumerate(table.schema().fields)}
    for batch in scan.to_record_batches([task]):
        columns = {field_id: batch.column(position[field_id]) for field_id in _WANTED if field_id in position}
        yield _with_added_columns(columns, batch.num_rows)


def _with_added_columns(columns: Columns, rows: int) -> Columns:
    """Add null columns where the table, or one of its files, is older than a column."""
    return columns | {field_id: pa.nulls(rows) for field_id in _ADDED - columns.keys()}


def rows_of(columns: Columns) -> Iterator[Row]:
    """Yield the rows of a batch. ``columns`` maps the field id of each field of a sale to its Arrow column."""
    facts = {attribute: columns[field_id].to_pylist() for field_id, attribute in _FACTS.items()}
    derived = {field_id: columns[field_id].to_pylist() for field_id in _DERIVED}
    # Read as numbers: to give each instant a time zone would take longer than the rest of the row.
    recorded = columns[_RECORDED_AT].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    for number, embedding in enumerate(_embeddings(columns[EMBEDDING_FIELD_ID])):
        values: dict[str, Any] = {attribute: column[number] for attribute, column in facts.items()}
        recorded_at = _EPOCH + timedelta(microseconds=recorded[number])
        sale = Sale(recorded_at=recorded_at, embedding=embedding, **values)
        correct = all(VALUE_OF_FIELD[field_id](sale) == column[number] for field_id, column in derived.items())
        yield Row(sale, correct)


def _embeddings(column: pa.Array) -> Iterator[Vector | None]:
    """Yield the vector of each row by memory copy: making a thousand Python numbers would be the slowest step."""
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
    """Return the paths of the data files of the table's current snapshot."""
    return frozenset(task.file.file_path for task in table.scan().plan_files())
