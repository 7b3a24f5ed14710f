"""The metrics of a data file's columns in a manifest: sizes, counts, and the bounds by which readers skip a file.

Iceberg specification, "Manifests", fields 108 to 132 of ``data_file``. The table properties
``write.metadata.metrics.*`` choose the metrics of each column (Iceberg documentation, "Write properties").

The result equals that of pyiceberg, which a test compares. Importing pyiceberg's module would take a twelfth of the CPU
time of a cold start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pyarrow.parquet as pq
from pyiceberg.conversions import to_bytes
from pyiceberg.schema import Schema
from pyiceberg.types import ListType, PrimitiveType, StringType
from pyiceberg.utils.truncate import truncate_upper_bound_text_string

_DEFAULT_MODE: Final = "write.metadata.metrics.default"
_MODE_OF_COLUMN: Final = "write.metadata.metrics.column."
_MODE: Final = re.compile(r"(none|counts|full)|truncate\(([1-9][0-9]*)\)")


class Mode(NamedTuple):
    """The metrics of a column. The bounds of a text have at most ``length`` characters, or all of them for None."""

    counts: bool
    bounds: bool
    length: int | None = None

    @classmethod
    def of(cls, text: str) -> Mode:
        """Parse a table property. Any other text means ``truncate(16)``, as in Iceberg's own writers."""
        found = _MODE.fullmatch(text.strip().lower())
        if found is None:
            return cls(counts=True, bounds=True, length=16)
        name, length = found.groups()
        return cls(counts=name != "none", bounds=name in (None, "full"), length=int(length) if length else None)


@dataclass(frozen=True)
class MeasuredColumn:
    """A column that has metrics."""

    field_id: int
    column_type: PrimitiveType
    mode: Mode

    def lower_bound(self, smallest: Any) -> bytes | None:
        """Return a bound that no value is less than, in Iceberg's single-value serialization."""
        if isinstance(self.column_type, StringType):
            smallest = smallest[: self.mode.length]
        return to_bytes(self.column_type, smallest)

    def upper_bound(self, largest: Any) -> bytes | None:
        """Return a bound that no value is greater than, or None when no text of the length is one."""
        if isinstance(self.column_type, StringType):
            largest = truncate_upper_bound_text_string(largest, self.mode.length)
            if largest is None:
                return None
        try:
            return to_bytes(self.column_type, largest)
        except UnicodeEncodeError:
            # The truncated text was incremented to a surrogate, which UTF-8 does not have.
            return None


def measured_columns(schema: Schema, properties: Mapping[str, str]) -> dict[str, MeasuredColumn]:
    """Return the columns that have metrics, by their paths in a Parquet file.

    These are primitive columns and the elements of lists. Metrics are optional, and deeper columns have none.
    """
    default = properties.get(_DEFAULT_MODE, "")
    columns: dict[str, MeasuredColumn] = {}
    for field in schema.fields:
        column_type = field.field_type
        if isinstance(column_type, PrimitiveType):
            mode = Mode.of(properties.get(f"{_MODE_OF_COLUMN}{field.name}", default))
            columns[field.name] = MeasuredColumn(field.field_id, column_type, mode)
        elif isinstance(column_type, ListType) and isinstance(column_type.element_type, PrimitiveType):
            mode = Mode.of(properties.get(f"{_MODE_OF_COLUMN}{field.name}.element", default))._replace(bounds=False)
            element = MeasuredColumn(column_type.element_id, column_type.element_type, mode)
            columns[f"{field.name}.list.element"] = element
    return columns


def metrics_of(parquet: pq.FileMetaData, columns: Mapping[str, MeasuredColumn]) -> dict[str, Any]:
    """Return the metrics of a data file, from the footer of a Parquet file with one row group.

    The keys are arguments of pyiceberg's ``DataFile``. Metrics of columns are mapped by field id.
    """
    # Only the elements of a vector could be NaN, and they have no such count.
    names = ("column_sizes", "value_counts", "null_value_counts", "nan_value_counts", "lower_bounds", "upper_bounds")
    metrics: dict[str, dict[int, Any]] = {name: {} for name in names}
    row_group = parquet.row_group(0)
    for number in range(parquet.num_columns):
        chunk = row_group.column(number)
        column = columns.get(chunk.path_in_schema)
        if column is not None:
            for name, value in _metrics_of_column(column, chunk):
                if value is not None:
                    metrics[name][column.field_id] = value
    first_offset = _first_offset(row_group.column(0))
    return {"record_count": parquet.num_rows, **metrics, "split_offsets": [first_offset]}


def _metrics_of_column(column: MeasuredColumn, chunk: pq.ColumnChunkMetaData) -> Iterator[tuple[str, Any]]:
    yield "column_sizes", chunk.total_compressed_size
    if not column.mode.counts:
        return
    yield "value_counts", chunk.num_values
    if not chunk.is_stats_set:
        return
    statistics = chunk.statistics
    if statistics.has_null_count:
        yield "null_value_counts", statistics.null_count
    if column.mode.bounds and statistics.has_min_max:
        yield "lower_bounds", column.lower_bound(statistics.min)
        yield "upper_bounds", column.upper_bound(statistics.max)


def _first_offset(chunk: pq.ColumnChunkMetaData) -> int:
    """Return the offset of a row group: that of its first column's dictionary, if it has one, or of its first page."""
    if chunk.has_dictionary_page:
        return min(int(chunk.dictionary_page_offset), int(chunk.data_page_offset))
    return int(chunk.data_page_offset)
