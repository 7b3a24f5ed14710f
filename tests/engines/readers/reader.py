"""What every reader of the table has in common."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tests.tables import TableUnderTest

SALES: Final = "{sales}"
"""Stands for the table in a statement. Readers name it differently."""

Row = tuple[Any, ...]


class StatementFailed(RuntimeError):
    """An engine could not run a statement. The message is the engine's own."""


class Reader(Protocol):
    """An engine that answers queries about a table."""

    def rows(self, table: TableUnderTest, statement: str, snapshot_id: int | None = None) -> list[Row]:
        """Run a SELECT statement in which ``{sales}`` stands for the table, at its head or at a snapshot.

        Use standard SQL that all readers accept. Values are :func:`comparable`. Raises the engine's own errors.
        """
        ...


def comparable(rows: Iterable[Iterable[Any]]) -> list[Row]:
    """Return rows in which equal values of two readers are equal in Python.

    Lists are 32-bit floats, and become tuples. Times are in UTC; one without a zone is taken to be in UTC.
    """
    return [tuple(map(_comparable, row)) for row in rows]


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(array("f", value))
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return value
