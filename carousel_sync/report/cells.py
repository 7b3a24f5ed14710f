"""Cells: what the queries find for one group of sales, before anything is withheld."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from duckdb import DuckDBPyConnection
from pyiceberg.table import Table

from carousel_sync.analysis.on_duckdb import run_athena_sql
from carousel_sync.analysis.parameters import Value as QueryValue
from carousel_sync.analysis.query_file import query_named
from carousel_sync.explore.duckdb_table import VIEW
from carousel_sync.explore.sql import run
from carousel_sync.report.period import Period

OWN: Final = "own"
OTHERS: Final = "others"
NO_TENANT: Final = ""
"""Stands for a tenant that no sale has, so that all sales are on the side of the others."""

_KEYS: Final = ("category", "brand", "week", "season", "discount_from")
_WITHIN: Final = "within_"
_COLUMNS: Final = (
    "tenant_id, currency, category, brand, sold_price, sold_date, days_to_sell, discount_percent, year, season"
)


@dataclass(frozen=True)
class Contributors:
    """Whose sales a figure is computed from. ``top_sales`` and ``top_value`` are those of the tenant with most."""

    tenants: int
    sales: int
    top_sales: int
    value: Decimal
    top_value: Decimal


@dataclass(frozen=True)
class Cell:
    """The figures of one group of sales in one currency ("": not stated), on one side of a comparison.

    A cell without a brand covers all brands of the category, one without a category all sales. Prices are None for a
    query that has none. ``timed`` are the contributors of the days to sell, which not every sale states; ``within`` has
    the number of sales within a number of days of the listing.
    """

    side: str
    currency: str
    category: str | None
    brand: str | None
    week: date | None
    season: str | None
    discount_from: int | None
    priced: Contributors
    lower_quartile: Decimal | None
    median_price: Decimal | None
    upper_quartile: Decimal | None
    timed: Contributors
    median_days: int | None
    within: Mapping[int, int]


@dataclass(frozen=True)
class TenantRow:
    """A tenant by name, with its figures in one currency. ``median_days`` is None if no sale states its days."""

    tenant: str
    currency: str
    sales: int
    median_price: Decimal
    median_days: int | None


@dataclass(frozen=True)
class Cells:
    """What all queries of a report found."""

    now: list[Cell]
    before: list[Cell]
    weeks: list[Cell]
    seasons: list[Cell]
    discounts: list[Cell]


def read_cells(
    connection: DuckDBPyConnection, table: Table, period: Period, tenant: str, progress: Callable[[str], None]
) -> Cells:
    """Compute the figures of a report on a connection that ``open_sales`` returned.

    The columns are read once, into a temporary table that takes the view's place on this connection. The tenant may be
    NO_TENANT. Raises QueryFailed.
    """
    progress("Reading the columns of the table")
    read_columns(connection, period.read)

    def ask(name: str, of: Period) -> list[Cell]:
        progress(f"Computing {name} of {of}")
        values: dict[str, QueryValue] = {"tenant": tenant, "first_day": of.first_day, "last_day": of.last_day}
        result = run_athena_sql(connection, table, query_named(name).sql(values))
        return [cell_of(dict(zip(result.columns, row, strict=True))) for row in result.rows]

    return Cells(
        now=ask("market-prices", period),
        before=ask("market-prices", period.before),
        weeks=ask("market-weeks", period.history),
        seasons=ask("market-seasons", period.history),
        discounts=ask("market-discounts", period),
    )


def read_columns(connection: DuckDBPyConnection, period: Period) -> None:
    """Copy the columns that the queries need into a temporary table, which hides the view of the same name."""
    first, last = period.first_day, period.last_day
    copied = run(
        connection,
        f"CREATE OR REPLACE TEMP TABLE {VIEW} AS SELECT {_COLUMNS} FROM memory.main.{VIEW} "  # noqa: S608
        f"WHERE year BETWEEN {first.year} AND {last.year} AND sold_date BETWEEN DATE '{first}' AND DATE '{last}'",
    )
    list(copied.rows)


def read_tenants(connection: DuckDBPyConnection, period: Period) -> list[TenantRow]:
    """Return each tenant's figures in each currency, after :func:`read_cells` on the same connection."""
    found = run(
        connection,
        "SELECT tenant_id, coalesce(currency, ''), count(*), quantile_disc(sold_price, 0.5), "  # noqa: S608
        f"quantile_disc(days_to_sell, 0.5) FROM {VIEW} "
        f"WHERE sold_date BETWEEN DATE '{period.first_day}' AND DATE '{period.last_day}' GROUP BY ALL ORDER BY ALL",
    )
    return [TenantRow(*row) for row in found.rows]


def cell_of(row: Mapping[str, Any]) -> Cell:
    """Return a row of a query as a cell."""
    priced = Contributors(row["tenants"], int(row["sales"]), row["top_sales"], row["value"], row["top_value"])
    timed = priced
    if "timed" in row:
        none = Decimal(0)
        timed = Contributors(
            row["timed_tenants"],
            int(row["timed"]),
            row["top_timed"],
            row["timed_value"] or none,
            row["top_timed_value"] or none,
        )
    return Cell(
        side=row["side"],
        currency=row["currency"],
        **{key: row.get(key) for key in _KEYS},
        priced=priced,
        lower_quartile=row.get("lower_quartile"),
        median_price=row.get("median_price"),
        upper_quartile=row.get("upper_quartile"),
        timed=timed,
        median_days=row.get("median_days"),
        within={int(name.removeprefix(_WITHIN)): int(count) for name, count in row.items() if name.startswith(_WITHIN)},
    )
