"""Sales in DuckDB's memory, for tests of the report that need no Iceberg table."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, cast

import duckdb

from carousel_sync.report.build import build_report
from carousel_sync.report.cells import NO_TENANT, Cells, read_cells
from carousel_sync.report.disclosure import Rules
from carousel_sync.report.period import Period
from carousel_sync.report.sections import Report

DECEMBER: Final = Period(date(2025, 12, 1), date(2025, 12, 31))
TENANTS: Final = ("carousel-labs", "vestiaire-nord", "second-spring", "maison-reprise", "kofferraum")


@dataclass(frozen=True)
class Sold:
    """What the report reads of a sale."""

    tenant: str = TENANTS[0]
    category: str = "handbags"
    brand: str = "Chanel"
    price: Decimal = Decimal("100.0000")
    day: date = date(2025, 12, 10)
    days_to_sell: int | None = 10
    discount: float | None = 20.0
    currency: str | None = "EUR"


def cells_of(sales: Iterable[Sold], period: Period = DECEMBER, tenant: str = NO_TENANT) -> Cells:
    """Return what the queries find."""
    with closing(duckdb.connect()) as connection:
        connection.execute(
            "CREATE TABLE sales_history (tenant_id VARCHAR, category VARCHAR, brand VARCHAR, "
            "sold_price DECIMAL(18, 4), sold_date DATE, days_to_sell INTEGER, discount_percent DOUBLE, "
            "currency VARCHAR, year INTEGER, season VARCHAR)"
        )
        rows = [(*astuple(each), each.day.year, f"Q{(each.day.month + 2) // 3}") for each in sales]
        if rows:
            connection.executemany("INSERT INTO sales_history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        # The queries of the report read neither metadata nor earlier versions of a table.
        return read_cells(connection, cast("Any", None), period, tenant, lambda _: None)


def report_of(
    sales: Iterable[Sold], period: Period = DECEMBER, tenant: str | None = None, rules: Rules | None = None
) -> Report:
    """Return the report about sales."""
    cells = cells_of(sales, period, NO_TENANT if tenant is None else tenant)
    return build_report(cells, period, rules or Rules(), tenant)


def by_each(tenants: Sequence[str], sold: Sold, count: int) -> list[Sold]:
    """Return sales like one of each tenant, with prices that differ."""
    return [
        replace(sold, tenant=tenant, price=sold.price + number + Decimal(position) / 7)
        for position, tenant in enumerate(tenants)
        for number in range(count)
    ]


def busy_market(seed: int = 1, count: int = 3_000) -> list[Sold]:
    """Return a year of sales in which most figures can be published, and some can not."""
    chosen = random.Random(seed)
    brands = {
        "handbags": ("Chanel", "Hermès", "Louis Vuitton", "Prada"),
        "watches": ("Rolex", "Omega", "Cartier"),
        "shoes": ("Gucci", "Jimmy Choo", "Loro Piana"),
        "coats": ("Max Mara", "Burberry", "Totême"),
    }
    level = {"handbags": 900, "watches": 2600, "shoes": 220, "coats": 340}
    sales = []
    for _ in range(count):
        category = chosen.choice(list(brands))
        brand = chosen.choice(brands[category])
        discount = chosen.choice([None, *range(-5, 60, 3)])
        day = date(2025, 12, 31) - timedelta(days=int(chosen.triangular(0, 364, 30)))
        slow = 1 + brands[category].index(brand)
        price = chosen.lognormvariate(0, 0.6) * level[category] * (1 + 0.15 * slow) * (1 + day.month / 40)
        days = int(chosen.expovariate(1 / (9 + 4 * slow)) * (1 - (discount or 0) / 90))
        sales.append(
            Sold(
                tenant=chosen.choices(TENANTS, (5, 4, 3, 3, 2))[0],
                category=category,
                brand=brand,
                price=Decimal(price).quantize(Decimal("0.0001")),
                day=day,
                days_to_sell=chosen.choice([None, *[days] * 9]),
                discount=discount,
            )
        )
    lone = Sold(tenant="maison-reprise", brand="Atelier Reprise")
    return [*sales, *(replace(lone, price=Decimal(70 + number)) for number in range(40))]
