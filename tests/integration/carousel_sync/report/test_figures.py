"""The figures of a report over an Iceberg table in a folder, computed again from the sales."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.explore.duckdb_table import open_table
from carousel_sync.report.cells import OTHERS, OWN, Cell, Cells, read_cells, read_tenants
from carousel_sync.report.disclosure import Rules
from carousel_sync.report.period import Period
from carousel_sync.report.produce import Wanted, produce_from
from carousel_sync.report.sections import Report
from lambda_fn.sale import Sale
from tests.sales_of_tenants import OTHERS as OTHER_TENANTS
from tests.sales_of_tenants import TENANT, WrittenSales, write_sales
from tests.tables import provisioned, sqlite_config

PERIOD = Period(date(2025, 11, 1), date(2025, 12, 31))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenSales:
    folder: Path = tmp_path_factory.mktemp("lake")
    return write_sales(provisioned(sqlite_config(folder)))


@pytest.fixture(scope="module")
def cells(written: WrittenSales) -> Cells:
    table = written.table.load()
    with closing(open_table(table.metadata_location)) as connection:
        return read_cells(connection, table, PERIOD, TENANT, lambda _: None)


def within(sales: Iterable[Sale], period: Period) -> list[Sale]:
    return [each for each in sales if period.first_day <= each.sold_date <= period.last_day]


def nearest_rank(prices: Sequence[Any], share: float) -> Any:
    return sorted(prices)[math.ceil(len(prices) * share) - 1]


def check(cell: Cell, sales: list[Sale]) -> None:
    """Compare a cell with the sales that belong to it."""
    prices = [each.sold_price for each in sales]
    by_tenant: dict[str, list[Sale]] = defaultdict(list)
    for each in sales:
        by_tenant[each.tenant_id].append(each)
    assert cell.priced.sales == len(sales)
    assert cell.priced.tenants == len(by_tenant)
    assert cell.priced.top_sales == max(map(len, by_tenant.values()))
    assert cell.priced.value == sum(prices)
    assert cell.priced.top_value == max(sum(each.sold_price for each in of) for of in by_tenant.values())
    if cell.median_price is not None:
        quartiles = (cell.lower_quartile, cell.median_price, cell.upper_quartile)
        assert quartiles == (nearest_rank(prices, 0.25), statistics.median_low(prices), nearest_rank(prices, 0.75))
    timed = [each for each in sales if each.days_to_sell is not None]
    if cell.within:
        days = [each.days_to_sell for each in timed if each.days_to_sell is not None]
        assert cell.timed.sales == len(timed)
        assert cell.timed.tenants == len({each.tenant_id for each in timed})
        assert cell.timed.value == sum(each.sold_price for each in timed)
        assert cell.median_days == (statistics.median_low(days) if days else None)
        for limit, count in cell.within.items():
            assert count == len([each for each in days if each <= limit])


def belongs(sale: Sale, cell: Cell) -> bool:
    side = OWN if sale.tenant_id == TENANT else OTHERS
    monday = sale.sold_date - timedelta(days=sale.sold_date.weekday())
    found = {
        "side": side,
        "currency": sale.currency or "",
        "category": sale.category,
        "brand": sale.brand,
        "week": monday,
        "season": f"{sale.year} {sale.season}",
    }
    return all(getattr(cell, name) in (None, value) for name, value in found.items())


@pytest.mark.parametrize(
    ("name", "period", "count"),
    [
        ("now", PERIOD, 1 + 3 + 5),
        ("before", PERIOD.before, 1 + 3 + 5),
        ("weeks", PERIOD.history, 3 * 10),
        ("seasons", PERIOD.history, 3),
    ],
)
def test_cells_are_those_of_the_sales(
    cells: Cells, written: WrittenSales, name: str, period: Period, count: int
) -> None:
    sales = within(written.sales, period)
    found: list[Cell] = getattr(cells, name)
    assert len(found) >= count
    for cell in found:
        check(cell, [each for each in sales if belongs(each, cell)])


def test_discounts_are_those_of_the_sales(cells: Cells, written: WrittenSales) -> None:
    sales = [
        each
        for each in within(written.sales, PERIOD)
        if each.discount_percent is not None and each.days_to_sell is not None
    ]
    total = 0
    for cell in cells.discounts:
        of_cell = [
            each
            for each in sales
            if belongs(each, cell)
            and max(-10, math.floor((each.discount_percent or 0) / 10) * 10) == cell.discount_from
        ]
        check(cell, of_cell)
        total += len(of_cell)
    assert total == len(sales)


def test_a_period_is_compared_with_as_many_months_and_a_year_of_history() -> None:
    assert PERIOD.before == Period(date(2025, 9, 1), date(2025, 10, 31))
    assert PERIOD.history == Period(date(2025, 1, 1), date(2025, 12, 31))
    january = Period(date(2026, 1, 1), date(2026, 1, 31))
    assert january.before == Period(date(2025, 12, 1), date(2025, 12, 31))
    assert january.history.first_day == date(2025, 1, 1)
    assert str(january) == "January 2026"
    assert str(Period(date(2025, 12, 1), date(2026, 1, 31))) == "December 2025 to January 2026"
    assert str(PERIOD) == "November to December 2025"


def produced(written: WrittenSales, wanted: Wanted) -> Report:
    table = written.table.load()
    with closing(open_table(table.metadata_location)) as connection:
        return produce_from(connection, table, wanted, lambda _: None)


def test_a_report_names_tenants_on_demand_with_their_own_figures(written: WrittenSales) -> None:
    report = produced(written, Wanted(PERIOD, Rules(), name_tenants=True))
    sales = within(written.sales, PERIOD)
    assert {row.tenant for row in report.tenants} == {TENANT, *OTHER_TENANTS}
    for row in report.tenants:
        own = [each for each in sales if (each.tenant_id, each.currency or "") == (row.tenant, row.currency)]
        days = [each.days_to_sell for each in own if each.days_to_sell is not None]
        assert (row.sales, row.median_price) == (len(own), statistics.median_low([each.sold_price for each in own]))
        assert row.median_days == statistics.median_low(days)


def test_a_report_reads_the_columns_once(written: WrittenSales) -> None:
    table = written.table.load()
    with closing(open_table(table.metadata_location)) as connection:
        read_cells(connection, table, PERIOD, TENANT, lambda _: None)
        connection.execute("DROP VIEW memory.main.sales_history")
        assert read_tenants(connection, PERIOD)


def test_currencies_are_never_mixed(written: WrittenSales) -> None:
    report = produced(written, Wanted(PERIOD, Rules()))
    assert {chapter.currency for chapter in report.chapters} == {"EUR", "USD", ""}
    medians: set[Decimal] = set()
    for chapter in report.chapters:
        prices = {each.sold_price for each in written.sales if (each.currency or "") == chapter.currency}
        (section,) = [each for each in chapter.sections if each.key == "category-prices"]
        found = {row["median"] for row in section.records() if isinstance(row["median"], Decimal)}
        assert found <= prices
        medians |= found
    assert medians
