"""Reads past sales from JSON lines or Parquet, each record as the text of the event that would have reported it.

The function's own reader parses that text, so that the rules of the event apply to every record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lambda_fn.errors import ConfigurationError
from lambda_fn.event import EVENT_SOURCE, parse_message
from lambda_fn.fields import FIELDS, Field, Role
from lambda_fn.ports import Delivery, Reason, Rejection
from lambda_fn.sale import EVENT_TYPE
from schemas.evolution.migration import current_schema

ROWS_AT_ONCE: Final = 512
# Apache Parquet, "File Format": the first four bytes of a file.
_PARQUET_MAGIC: Final = b"PAR1"
_TENANT_COLUMNS: Final = frozenset({"tenant_id", "tenantId"})


@dataclass(frozen=True)
class Record:
    """A line or a row of a file, numbered from 1, as the function's reader parsed it.

    ``text`` is stored when the record is rejected: the line as it is written, or the row as the event that it became.
    """

    path: Path
    number: int
    text: str
    delivery: Delivery


class RecordFile:
    """A file of sales. Its first bytes show whether it is Parquet; its name does not matter.

    ``event_time`` is the time of the event, an ISO 8601 instant, for records without one. Raises ConfigurationError
    when the file can't be read, or is a Parquet file without sales.
    """

    def __init__(self, path: Path, event_time: str | None = None) -> None:
        self.path = path
        self._event_time = event_time
        self._first_seen = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            with path.open("rb") as file:
                self._is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
            if self._is_parquet:
                with pq.ParquetFile(path) as parquet:
                    names = set(parquet.schema_arrow.names)
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(f"{path} can't be read: {error}. Nothing was written.") from error
        if self._is_parquet and not names & _TENANT_COLUMNS:
            raise ConfigurationError(
                f"{path} has neither the table's columns (tenant_id, ...) nor the event's fields (tenantId, ...): "
                f"{', '.join(sorted(names)[:10])}. Nothing was written."
            )

    def count(self) -> int:
        """Return the number of records. Reads the whole file if it has JSON lines, and does not count blank lines."""
        if self._is_parquet:
            with pq.ParquetFile(self.path) as parquet:
                return int(parquet.metadata.num_rows)
        with self.path.open("rb") as file:
            return sum(1 for line in file if line.strip())

    def read(self, skip: int = 0) -> Iterator[Record]:
        """Yield the records after the first ``skip`` lines or rows.

        Raises ConfigurationError at the first damaged row of a Parquet file, after yielding the rows before it.
        """
        return self._rows(skip) if self._is_parquet else self._lines(skip)

    def _lines(self, skip: int) -> Iterator[Record]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if number <= skip or not line.strip():
                    continue
                yield self._record(number, *text_and_event_of_line(line, self._event_time))

    def _rows(self, skip: int) -> Iterator[Record]:
        number = 0
        try:
            with pq.ParquetFile(self.path) as parquet:
                for batch in parquet.iter_batches(batch_size=ROWS_AT_ONCE):
                    first_wanted = min(max(skip - number, 0), batch.num_rows)
                    number += first_wanted
                    for row in batch.slice(first_wanted).to_pylist():
                        number += 1
                        yield self._row(number, row)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ConfigurationError(f"{self.path} can't be read beyond row {number}: {error}") from error

    def _row(self, number: int, row: Mapping[str, Any]) -> Record:
        delivery = delivery_of_row(f"{self.path}:{number}", row, self._event_time, self._first_seen)
        return Record(self.path, number, delivery.body, delivery)

    def _record(self, number: int, text: str, event: str) -> Record:
        return Record(self.path, number, text, parse_message(f"{self.path}:{number}", event, self._first_seen))


def text_and_event_of_line(line: bytes, event_time: str | None) -> tuple[str, str]:
    """Return the text of a line, without white space around it, and the text of its event."""
    # Bytes that are not UTF-8 become \\x escapes, which are invalid in JSON.
    text = line.strip().decode(errors="backslashreplace")
    return text, event_of_line(text, event_time)


def delivery_of_row(delivery_id: str, row: Mapping[str, Any], event_time: str | None, first_seen: str) -> Delivery:
    """Return a row as the delivery of its event, or of its own text if it can't be converted to an event."""
    try:
        return parse_message(delivery_id, event_of_row(row, event_time), first_seen)
    except TypeError as error:
        rejection = Rejection(Reason.INVALID_FIELD, f"the row can't be converted to an event: {error}")
        return Delivery(delivery_id, json.dumps(row, default=str), first_seen, rejection)


def event_of_line(line: str, event_time: str | None) -> str:
    """Return a line as the text of an event.

    An event stays as it is, a ``detail`` gets an envelope, and a row of the table is translated. Any other line stays
    as it is, so that the function's reader rejects it with its reason.
    """
    try:
        document = orjson.loads(line)
        if not isinstance(document, dict) or {"detail", "detail-type"} & document.keys():
            return line
        if "tenant_id" not in document:
            return _event(orjson.Fragment(line), event_time)
        # Numbers stay as they are written, because a double would change long prices.
        row = json.loads(line, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
        return event_of_row(row, event_time)
    except (ValueError, TypeError, RecursionError):
        return line


def event_of_row(row: Mapping[str, Any], event_time: str | None) -> str:
    """Return a row as the text of an event. Its names are the table's columns or the event's fields.

    Raises TypeError for a value whose type JSON does not have.
    """
    detail: dict[str, Any] = {}
    fields = _field_of_column()
    for name, value in row.items():
        field = fields.get(name)
        if field is None:
            detail[name] = value
        elif field.event_name is not None:
            detail[field.event_name] = value
        elif field.role is Role.ENVELOPE and value is not None:
            event_time = value
    return _event(detail, event_time)


@cache
def _field_of_column() -> Mapping[str, Field]:
    """Return the fields by the names that their columns have now."""
    by_id = {field.field_id: field for field in FIELDS}
    return {column.name: by_id[column.field_id] for column in current_schema().fields if column.field_id in by_id}


def _event(detail: Any, time: Any) -> str:
    envelope = {"source": EVENT_SOURCE, "detail-type": EVENT_TYPE, **({} if time is None else {"time": time})}
    return orjson.dumps({**envelope, "detail": detail}, default=_as_json).decode()


def _as_json(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}")
    raise TypeError(f"it has a value of type {type(value).__name__}")
