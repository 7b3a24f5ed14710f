"""Every query of queries/athena on DuckDB, over a table in a folder: the answers, computed from the sales."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.analysis.on_duckdb import run_athena_sql
from carousel_sync.analysis.query_file import queries, query_named
from carousel_sync.explore.duckdb_table import open_table
from carousel_sync.explore.sql import QueryFailed
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.sale import Sale
from tests.sales_of_tenants import MONTH, OTHERS, TENANT, WATCHES_ARE_SOLD_BY, YEAR, WrittenSales, write_sales
from tests.tables import provisioned, sqlite_config

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenSales:
    folder: Path = tmp_path_factory.mktemp("lake")
    return write_sales(provisioned(sqlite_config(folder)))


@dataclass(frozen=True)
class Analyst:
    """Somebody who asks questions about the sales."""

    written: WrittenSales

    def sql(self, statement: str) -> Rows:
        table = self.written.table.load()
        with closing(open_table(table.metadata_location)) as connection:
            result = run_athena_sql(connection, table, statement)
            return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    def ask(self, name: str, **values: Any) -> Rows:
        return self.sql(query_named(name).sql({**self.written.values(), **values}))


@pytest.fixture
def analyst(written: WrittenSales) -> Analyst:
    return Analyst(written)


def grouped(sales: Iterable[Sale], *attributes: str) -> dict[tuple[Any, ...], list[Sale]]:
    groups: dict[tuple[Any, ...], list[Sale]] = defaultdict(list)
    for each in sales:
        groups[tuple(getattr(each, name) for name in attributes)].append(each)
    return groups


def mean_price(sales: list[Sale]) -> Decimal:
    return sum((each.sold_price for each in sales), Decimal(0)) / len(sales)


def close_to(price: Decimal) -> Any:
    """Prices are rounded to two decimal places."""
    return pytest.approx(price, abs=Decimal("0.0051"))


def keyed(rows: Rows, *columns: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {tuple(row[column] for column in columns): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_the_average_price(analyst: Analyst) -> None:
    expected = grouped(analyst.written.month, "category", "brand", "currency")
    rows = analyst.ask("average-price")
    found = keyed(rows, "category", "brand", "currency")
    assert found.keys() == expected.keys()
    for key, sales in expected.items():
        assert found[key]["sales"] == len(sales)
        assert found[key]["average_price"] == close_to(mean_price(sales))
    prices = [row["average_price"] for row in rows]
    assert prices == sorted(prices, reverse=True)


def test_the_newest_event_as_docs_analysts_asks_for_it(analyst: Analyst) -> None:
    section = (PROJECT_ROOT / "docs/analysts.md").read_text().split("## How fresh the data is\n")[1]
    statement = section.split("```sql\n")[1].split("```")[0]
    quoted = TENANT.replace("'", "''")
    (row,) = analyst.sql(statement.replace("'carousel-labs'", f"'{quoted}'"))
    month = analyst.written.month
    assert row == {"newest_event": max(each.recorded_at for each in month), "sales": len(month)}


def test_medians_and_the_sell_through(analyst: Analyst) -> None:
    expected = grouped(analyst.written.month, "category", "brand", "currency")
    found = keyed(analyst.ask("time-to-sell", days=40), "category", "brand", "currency")
    assert found.keys() == expected.keys()
    for key, sales in expected.items():
        days = [each.days_to_sell for each in sales if each.days_to_sell is not None]
        in_time = len([each for each in days if each <= 40])
        assert found[key]["sales"] == len(sales)
        assert found[key]["median_price"] == close_to(statistics.median([each.sold_price for each in sales]))
        assert found[key]["median_days_to_sell"] == (statistics.median(days) if days else None)
        percent = pytest.approx(100 * in_time / len(days), abs=0.051) if days else None
        assert found[key]["sell_through_percent"] == percent


def test_the_effect_of_a_discount(analyst: Analyst) -> None:
    bands: dict[int, list[int]] = defaultdict(list)
    for each in analyst.written.month:
        if each.discount_percent is not None and each.days_to_sell is not None:
            bands[int(each.discount_percent // 10) * 10].append(each.days_to_sell)
    rows = analyst.ask("discount-effect")
    assert [row["discount_from"] for row in rows] == sorted(bands)
    assert min(bands) < 0
    for row in rows:
        days = bands[row["discount_from"]]
        assert row["sales"] == len(days)
        assert row["median_days_to_sell"] == statistics.median(days)
        assert row["average_days_to_sell"] == pytest.approx(statistics.mean(days), abs=0.051)


def test_the_trend_of_four_weeks(analyst: Analyst) -> None:
    year = [
        each for each in analyst.written.sales if (each.tenant_id, each.year) == (TENANT, YEAR) and each.month <= MONTH
    ]
    rows = analyst.ask("price-trend")
    assert sum(row["sales"] for row in rows) == len(year)
    for row in rows:
        same = [each for each in year if (each.category, each.currency) == (row["category"], row["currency"])]
        end = row["week"] + timedelta(days=7)
        of_week = [each for each in same if row["week"] <= each.sold_date < end]
        of_four = [each for each in same if row["week"] - timedelta(days=21) <= each.sold_date < end]
        assert row["week"].weekday() == 0
        assert row["average_price"] == close_to(mean_price(of_week))
        assert row["moving_average"] == close_to(mean_price(of_four))


def test_the_trend_ends_with_the_month(analyst: Analyst) -> None:
    weeks = [row["week"] for row in analyst.ask("price-trend", month=11)]
    assert max(weeks).month == 11
    assert {week.year for week in weeks} == {YEAR}


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_the_market_is_withheld_below_k_tenants(analyst: Analyst, k: int) -> None:
    month = [each for each in analyst.written.sales if (each.year, each.month) == (YEAR, MONTH)]
    own = grouped(analyst.written.month, "category", "currency")
    others = grouped([each for each in month if each.tenant_id != TENANT], "category", "currency")
    found = keyed(analyst.ask("market-comparison", k=k), "category", "currency")
    assert found.keys() == own.keys()
    for key, row in found.items():
        tenants = {each.tenant_id for each in others[key]}
        assert row["average_price"] == close_to(mean_price(own[key]))
        if len(tenants) < k:
            assert (row["market_price"], row["difference_percent"]) == (None, None)
        else:
            assert row["market_price"] == close_to(mean_price(others[key]))
    watches = [row for (category, _), row in found.items() if category == "watches"]
    assert len(WATCHES_ARE_SOLD_BY) - 1 == 2
    assert watches
    assert k == 2 or all(row["market_price"] is None for row in watches)
    assert len(OTHERS) < 5
    assert k != 5 or all(row["market_price"] is None for row in found.values())


def test_new_and_returning_vendors(analyst: Analyst) -> None:
    own = [each for each in analyst.written.sales if each.tenant_id == TENANT and each.vendor_id is not None]
    now = grouped([each for each in own if (each.year, each.month) == (YEAR, MONTH)], "vendor_id")
    earlier = {each.vendor_id for each in own if (each.year, each.month) < (YEAR, MONTH)}
    expected = {}
    for status, vendors in (
        ("new", [vendor for vendor in now if vendor[0] not in earlier]),
        ("returning", [vendor for vendor in now if vendor[0] in earlier]),
    ):
        expected[status] = (len(vendors), sum(len(now[vendor]) for vendor in vendors))
    assert {row["vendor"]: (row["vendors"], row["sales"]) for row in analyst.ask("vendors")} == expected
    assert all(vendors for vendors, _ in expected.values())


def test_the_sale_with_two_rows_is_found(analyst: Analyst) -> None:
    twice = analyst.written.twice
    assert [(row["sale_id"], row["copies"], row["first_reported"]) for row in analyst.ask("duplicates")] == [
        (twice.sale_id, 2, twice.recorded_at)
    ]
    assert analyst.ask("duplicates", month=11) == []


def test_what_was_added_since_the_first_commit(analyst: Analyst) -> None:
    rows = analyst.ask("time-travel")
    now = grouped(analyst.written.month, "category", "brand")
    then = grouped(
        [each for each in analyst.written.sales[:-1:2] if each in analyst.written.month], "category", "brand"
    )
    assert keyed(rows, "category", "brand").keys() == now.keys()
    for row in rows:
        key = (row["category"], row["brand"])
        assert (row["sales_then"], row["sales_now"]) == (len(then[key]), len(now[key]))
        assert row["added"] == row["sales_now"] - row["sales_then"]


def test_a_time_before_the_first_snapshot_is_refused_with_the_oldest(analyst: Analyst) -> None:
    with pytest.raises(QueryFailed, match=r"no snapshot of .* or before: its oldest is of "):
        analyst.ask("time-travel", as_of=analyst.written.first_commit - timedelta(seconds=1))


def test_files_partitions_and_snapshots(analyst: Analyst) -> None:
    inspect = analyst.written.table.load().inspect
    (files,) = analyst.ask("table-files")
    assert files["files"] == files["files_below_64_mb"] == inspect.files().num_rows
    assert files["row_count"] == len(analyst.written.sales)
    assert files["bytes"] == sum(inspect.files()["file_size_in_bytes"].to_pylist())
    partitions = analyst.ask("table-partitions")
    assert sum(row["file_count"] for row in partitions) == files["files"]
    assert sum(row["record_count"] for row in partitions) == files["row_count"]
    assert sum(row["bytes"] for row in partitions) == files["bytes"]
    assert {(TENANT, YEAR, MONTH)} <= {(row["tenant_id"], row["year"], row["month"]) for row in partitions}
    snapshots = analyst.ask("table-snapshots")
    assert sum(row["snapshots"] for row in snapshots) == 3
    assert sum(row["rows_added"] for row in snapshots) == len(analyst.written.sales)
    assert min(row["first_commit"] for row in snapshots) == analyst.written.first_commit


@pytest.mark.parametrize("name", [name for name, query in queries().items() if query.changes_the_table])
def test_a_statement_for_athena_alone_is_refused(analyst: Analyst, name: str) -> None:
    with pytest.raises(QueryFailed, match="Only Athena runs this statement"):
        analyst.ask(name)


def test_an_unknown_metadata_table_is_refused(analyst: Analyst) -> None:
    with pytest.raises(QueryFailed, match=r"'refs' is not known\. There are files, snapshots, partitions"):
        analyst.sql('SELECT * FROM "sales_history$refs"')


def test_an_injected_text_finds_nothing(analyst: Analyst) -> None:
    assert analyst.ask("average-price", tenant="x' OR '1' = '1") == []
