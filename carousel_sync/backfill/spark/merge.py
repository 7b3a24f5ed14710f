"""The MERGE that lands a chunk: its statement, its conditions, and which failures a new try can fix."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from catalog_config.table_properties import BACKFILL
from lambda_fn.iceberg.history import attempt_properties

SNAPSHOT_PROPERTY: Final = "spark.sql.iceberg.snapshot-property."
"""Prefix of the session's settings that Iceberg copies into the summary of a snapshot (Iceberg 1.11, Spark 4)."""

_CONFLICTS: Final = (
    # Another writer has added rows to these partitions since the MERGE read them, or the history between the two
    # snapshots is gone.
    "org.apache.iceberg.exceptions.ValidationException",
    # Other writers have changed the table faster than Iceberg's own retries.
    "org.apache.iceberg.exceptions.CommitFailedException",
    # The answer was lost. The MERGE may have landed; the next one finds its rows.
    "org.apache.iceberg.exceptions.CommitStateUnknownException",
)


class Month(NamedTuple):
    """A month of sales, which is a partition of each tenant."""

    year: int
    month: int


class Chunk(NamedTuple):
    """The months that one MERGE lands, in order, and the number of sales in them."""

    months: tuple[Month, ...]
    sales: int

    @property
    def name(self) -> str:
        """The first and the last month, as text."""
        first, last = self.months[0], self.months[-1]
        return f"{first.year}-{first.month:02}" + ("" if first == last else f"..{last.year}-{last.month:02}")


def chunks_of(sales: Iterable[tuple[Month, int]], sales_per_chunk: int) -> Iterator[Chunk]:
    """Group months, each with its number of sales, so that a chunk has few more sales than wanted. None is empty."""
    months: list[Month] = []
    total = 0
    for month, count in sorted(sales):
        if months and total + count > sales_per_chunk:
            yield Chunk(tuple(months), total)
            months, total = [], 0
        months.append(month)
        total += count
    if months:
        yield Chunk(tuple(months), total)


def in_months(months: Sequence[Month], relation: str = "") -> str:
    """Return the condition that a row is in one of the months, with literals only.

    Iceberg prunes files by it, and takes it for the rows on which the MERGE depends: a concurrent append to other
    months is no conflict.
    """
    prefix = f"{relation}." if relation else ""
    years = [
        f"({prefix}year = {year} AND {prefix}month IN ({', '.join(str(month.month) for month in members)}))"
        for year, members in groupby(sorted(months), key=lambda month: month.year)
    ]
    return f"({' OR '.join(years)})"


def statement(table: str, source: str, columns: Sequence[str], months: Sequence[Month]) -> str:
    """Return the MERGE of the sales in ``source`` that have no row yet.

    The clause for matched rows never applies. Without one, Spark would plan a plain append, for which Iceberg does not
    check what other writers have added since the scan, so that their rows would be doubled.
    """
    names = ", ".join(f"`{name}`" for name in columns)
    values = ", ".join(f"s.`{name}`" for name in columns)
    return (
        f"MERGE INTO {table} t USING {source} s "  # noqa: S608 (names and numbers)
        f"ON {in_months(months, 't')} AND t.tenant_id = s.tenant_id AND t.sale_id = s.sale_id "
        "WHEN MATCHED AND false THEN UPDATE SET sale_id = t.sale_id "
        f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    )


def session_settings(attempt_id: int, fenced: Collection[int]) -> dict[str, str]:
    """Return the session's settings for an attempt's MERGE: the properties of its snapshot.

    The snapshot lands the attempt, fences the attempts from which it has taken sales over, and says that it may have
    rows without claims.
    """
    properties = {**attempt_properties(fenced, [attempt_id]), BACKFILL: "true"}
    return {SNAPSHOT_PROPERTY + name: value for name, value in properties.items()}


def is_conflict(error: Exception) -> bool:
    """Return whether a MERGE failed because of other writers, or without an answer. The next scan decides then."""
    return any(name in str(error) for name in _CONFLICTS)
