"""Comparing what readers find in a table, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tests.engines.readers.reader import Reader, Row
from tests.tables import TableUnderTest

KEY: Final = ("tenant_id", "sale_id")

_SHOWN: Final = 5


def columns_of(table: TableUnderTest, snapshot_id: int | None = None) -> list[str]:
    """Return the names of the table's columns, as they are now or as a reader of a snapshot sees them."""
    loaded = table.load()
    schema = loaded.schema() if snapshot_id is None else loaded.scan(snapshot_id=snapshot_id).projection()
    return [field.name for field in schema.fields]


def rows_of(
    reader: Reader, table: TableUnderTest, columns: Sequence[str] | None = None, snapshot_id: int | None = None
) -> list[Row]:
    """Return these columns (default: all) of all rows, ordered by tenant and sale id, with repeats."""
    wanted = columns_of(table, snapshot_id) if columns is None else list(columns)
    statement = "SELECT {columns} FROM {sales}".replace("{columns}", ", ".join([*KEY, *wanted]))
    found = reader.rows(table, statement, snapshot_id)
    return [row[len(KEY) :] for row in sorted(found, key=lambda row: row[: len(KEY)])]


def differences(columns: Sequence[str], expected: Sequence[Row], found: Sequence[Row]) -> list[str]:
    """Return what differs between two ordered lists of rows, in words. An empty list means that they are equal."""
    if len(expected) != len(found):
        return [f"{len(expected)} rows expected, {len(found)} found"]
    return [
        f"row {number}, {column}: {wanted!r} expected, {value!r} found"
        for number, (row, other) in enumerate(zip(expected, found, strict=True))
        for column, wanted, value in zip(columns, row, other, strict=True)
        if wanted != value
    ]


def assert_rows(columns: Sequence[str], expected: Sequence[Row], found: Sequence[Row]) -> None:
    """Assert that two ordered lists of rows are equal. The message shows the first differences."""
    different = differences(columns, expected, found)
    assert not different, "\n".join([f"{len(different)} differences:", *different[:_SHOWN]])


def assert_agree(
    readers: Mapping[str, Reader],
    table: TableUnderTest,
    columns: Sequence[str] | None = None,
    snapshot_id: int | None = None,
) -> list[Row]:
    """Assert that readers find the same rows, and return them. ``readers`` maps names, for the message, to readers."""
    wanted = columns_of(table, snapshot_id) if columns is None else list(columns)
    (first, reader), *others = readers.items()
    rows = rows_of(reader, table, wanted, snapshot_id)
    problems = [
        f"{name} and {first}: {problem}"
        for name, other in others
        for problem in _first(differences(wanted, rows, rows_of(other, table, wanted, snapshot_id)))
    ]
    assert not problems, "\n".join(problems)
    return rows


def _first(problems: Iterable[str]) -> list[str]:
    return list(problems)[:_SHOWN]
