"""From the records of the source to rows of the table, in Spark's Python workers.

Spark reads the files. The records become sales with the code of ``carousel-sync backfill`` and of the function, so that
the rules of a sale exist once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa

from carousel_sync.backfill.records import delivery_of_row, text_and_event_of_line
from lambda_fn.event import parse_message
from lambda_fn.iceberg.rows import arrow_rows
from lambda_fn.ports import Delivery, Rejection
from lambda_fn.projection.projection_table import rejection_of
from lambda_fn.sale import Sale

LINE: Final = "_line"
"""The input column with the bytes of a line. Rows of Parquet files have their own columns instead."""
FILE, BLOCK, INDEX = "_file", "_block", "_index"
"""Where a record is: in which file, in which part of it that Spark reads at once, and at which place in this part."""
PLACE: Final = (FILE, BLOCK, INDEX)

RECORD_TYPES: Final = {
    FILE: ("string", pa.string()),
    BLOCK: ("bigint", pa.int64()),
    INDEX: ("bigint", pa.int64()),
    "_text": ("string", pa.string()),
    "_reason": ("string", pa.string()),
    "_detail": ("string", pa.string()),
    "_identity": ("string", pa.string()),
    "_facts": ("string", pa.string()),
    "_expires_at": ("bigint", pa.int64()),
}
"""The columns of a staged record beside those of the table, as types of Spark and of Arrow.

``_text`` is the record's text. ``_identity`` is the same for two records of one sale, and differs from that of any
other record. ``_facts`` is the payload hash, ``_expires_at`` the end of the projection item in epoch seconds.
"""


class _Record(NamedTuple):
    file: str
    block: int
    number: int
    text: str
    content: Sale | Rejection

    def values(self) -> tuple[Any, ...]:
        """Return the values of RECORD_TYPES."""
        place = self.file, self.block, self.number, self.text
        if isinstance(self.content, Rejection):
            # No key of a sale has two '#'.
            identity = f"##{self.file}#{self.block}#{self.number}"
            return *place, self.content.reason.value, self.content.detail, identity, None, None
        identity = "#".join(self.content.key)
        return *place, None, None, identity, self.content.payload_hash, self.content.projection_expires_at


@dataclass(frozen=True)
class Stage:
    """Turns batches of records into batches of staged rows, for Spark's ``mapInArrow``.

    ``columns`` is the table's schema in Arrow. Raises ColumnsMissing when a sale has a fact without a column.
    """

    columns: pa.Schema
    event_time: str | None
    first_seen: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the batches. Blank lines have none."""
        counts: Counter[tuple[str, int]] = Counter()
        for batch in batches:
            read = self._lines(batch, counts) if LINE in batch.schema.names else self._rows(batch)
            records = list(read)
            for is_sale in (True, False):
                if chosen := [record for record in records if isinstance(record.content, Sale) is is_sale]:
                    yield self._staged(chosen)

    def _lines(self, batch: pa.RecordBatch, counts: Counter[tuple[str, int]]) -> Iterator[_Record]:
        for file, block, line in zip(*(batch.column(name).to_pylist() for name in (FILE, BLOCK, LINE)), strict=True):
            index = counts[file, block]
            counts[file, block] += 1
            if line.strip():
                text, event = text_and_event_of_line(line, self.event_time)
                delivery = parse_message("", event, self.first_seen)
                yield _Record(file, block, index, text, _content(delivery))

    def _rows(self, batch: pa.RecordBatch) -> Iterator[_Record]:
        places = zip(*(batch.column(name).to_pylist() for name in PLACE), strict=True)
        rows = batch.select([name for name in batch.schema.names if name not in PLACE]).to_pylist()
        for (file, block, index), row in zip(places, rows, strict=True):
            delivery = delivery_of_row("", row, self.event_time, self.first_seen)
            yield _Record(file, block, index, delivery.body, _content(delivery))

    def _staged(self, records: Sequence[_Record]) -> pa.RecordBatch:
        """Return records, all of them sales or none, as one batch."""
        values = list(zip(*(record.values() for record in records), strict=True))
        arrays = [pa.array(column, kind) for column, (_, kind) in zip(values, RECORD_TYPES.values(), strict=True)]
        sales = [record.content for record in records if isinstance(record.content, Sale)]
        if sales:
            rows = arrow_rows(sales, self.columns).combine_chunks()
            arrays += [column.chunk(0).cast(plain(column.type)) for column in rows.columns]
        else:
            arrays += [pa.nulls(len(records), plain(column.type)) for column in self.columns]
        return pa.RecordBatch.from_arrays(arrays, names=[*RECORD_TYPES, *self.columns.names])


def _content(delivery: Delivery) -> Sale | Rejection:
    if isinstance(delivery.content, Rejection):
        return delivery.content
    return rejection_of(delivery.content) or delivery.content


def plain(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type that Spark uses for a column of the table: without 64-bit offsets."""
    if pa.types.is_large_string(arrow_type):
        return pa.string()
    if pa.types.is_large_binary(arrow_type):
        return pa.binary()
    if pa.types.is_large_list(arrow_type):
        return pa.list_(plain(arrow_type.value_type))
    return arrow_type
