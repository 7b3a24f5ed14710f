"""The analyses answer as Python does on the same sales."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.reader import StatementFailed
from tests.engines.readers.spark_engine import Spark
from tests.engines.spark_queries.jobs import JOBS, result_of
from tests.sales_of_tenants import TENANT, WrittenSales, write_sales
from tests.sales_with_embeddings import GIVEN, PRECISION, sales_with_embeddings, similarities, write
from tests.tables import TableUnderTest, provisioned, s3_tables_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]

DAYS = (0, 14, 90)
MONTHS = 13
EMBEDDED = sales_with_embeddings()


@pytest.fixture(scope="module")
def written(emulator_endpoint: str) -> WrittenSales:
    return write_sales(provisioned(s3_tables_config(emulator_endpoint, "spark-analyses")))


@pytest.fixture(scope="module")
def embedded(emulator_endpoint: str) -> TableUnderTest:
    table = provisioned(s3_tables_config(emulator_endpoint, "spark-embeddings"))
    write(table, EMBEDDED)
    return table


def of(spark: Spark, table: TableUnderTest) -> list[str]:
    return ["--table", spark.name_of(table), "--tenant", TENANT]


def test_sold_within_days(spark: Spark, written: WrittenSales, tmp_path: Path) -> None:
    options = ["--since", "2025-11", "--days", *map(str, DAYS)]
    found = result_of(spark, "sold_within_days.py", tmp_path / "found", *of(spark, written.table), *options)
    days_of: dict[str, list[int]] = defaultdict(list)
    for sold in written.sales:
        if sold.tenant_id == TENANT and (sold.year, sold.month) >= (2025, 11) and sold.days_to_sell is not None:
            days_of[sold.brand].append(sold.days_to_sell)
    assert [row["brand"] for row in found] == sorted(days_of, key=lambda brand: (-len(days_of[brand]), brand))
    for row in found:
        days = days_of[row["brand"]]
        assert int(row["sales"]) == len(days)
        for limit in DAYS:
            share = 100 * sum(1 for each in days if each <= limit) / len(days)
            assert float(row[f"within_{limit}_days"]) == pytest.approx(share, abs=0.05 + 1e-9)


def test_vendor_cohorts(spark: Spark, written: WrittenSales, tmp_path: Path) -> None:
    options = ["--months", str(MONTHS)]
    found = result_of(spark, "vendor_cohorts.py", tmp_path / "found", *of(spark, written.table), *options)
    months_of: dict[str, set[int]] = defaultdict(set)
    for sold in written.sales:
        if sold.tenant_id == TENANT and sold.vendor_id:
            months_of[sold.vendor_id].add(sold.year * 12 + sold.month - 1)
    expected: dict[int, Counter[int]] = defaultdict(Counter)
    for months in months_of.values():
        expected[min(months)].update(month - min(months) for month in months)
    assert len(expected) > 1
    assert [row["cohort"] for row in found] == [f"{first // 12}-{first % 12 + 1:02}" for first in sorted(expected)]
    for row, first in zip(found, sorted(expected), strict=True):
        counts = [int(row["vendors"]), *(int(row[f"after_{number}"]) for number in range(1, MONTHS + 1))]
        assert counts == [expected[first][number] for number in range(MONTHS + 1)]


def test_a_job_prints_without_an_output(spark: Spark, written: WrittenSales) -> None:
    printed = spark.job(JOBS / "vendor_cohorts.py", *of(spark, written.table), "--months", "2")
    assert "|cohort |vendors|after_1|after_2|" in printed


@pytest.mark.parametrize("sale_id", [GIVEN, "tiny", "short"])
def test_nearest_sales(spark: Spark, embedded: TableUnderTest, tmp_path: Path, sale_id: str) -> None:
    options = ["--sale", sale_id, "--limit", "1000"]
    found = result_of(spark, "nearest_sales.py", tmp_path / "found", *of(spark, embedded), *options)
    values = {row["sale_id"]: float(row["similarity"]) for row in found}
    assert values == pytest.approx(similarities(EMBEDDED, sale_id), abs=PRECISION)
    assert list(values.values()) == sorted(values.values(), reverse=True)


@pytest.mark.parametrize(
    ("sale_id", "message"),
    [
        ("unknown", "no sale 'unknown'"),
        ("without", "has no embedding"),
        ("zeros", "only zeros"),
        ("shortest", "has dimension 4, .* have another: 8, 64"),
    ],
)
def test_a_sale_that_cannot_be_compared(spark: Spark, embedded: TableUnderTest, sale_id: str, message: str) -> None:
    with pytest.raises(StatementFailed, match=message):
        spark.job(JOBS / "nearest_sales.py", *of(spark, embedded), "--sale", sale_id)
