"""Every query of queries/athena runs on Trino as it is, prunes partitions, and answers as it does on DuckDB."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any, Final

import pytest

from carousel_sync.analysis.on_duckdb import run_athena_sql
from carousel_sync.analysis.query_file import Query, queries
from carousel_sync.explore.duckdb_table import S3Access, open_table
from testbed.emulator import ACCESS_KEY, SECRET_KEY
from tests.engines.fixtures import IcebergRestServer
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.reader import Row, comparable
from tests.engines.readers.trino_engine import Trino
from tests.sales_of_tenants import MONTH, TENANT, YEAR, WrittenSales, write_sales
from tests.tables import provisioned, rest_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]

READING = [query for query in queries().values() if not query.changes_the_table]
OF_SALES = [query for query in READING if query.parameters]
PARTITION: Final = {"tenant_id", "year", "month"}
# A vendor is new if it has no earlier sale, so every month is read. A period has any number of months, of all tenants.
PRUNED_BY: Final = {"vendors": {"tenant_id", "year"}} | {
    query.name: {"year", "sold_date"} for query in OF_SALES if "first_day" in query.parameters
}


@pytest.fixture(scope="module")
def written(iceberg_rest_server: IcebergRestServer) -> WrittenSales:
    # Trino's time travel reads the table's log of snapshots, which the emulator's S3 Tables do not keep.
    return write_sales(provisioned(rest_config(iceberg_rest_server)))


@pytest.fixture
def at_the_table(trino: Trino, written: WrittenSales) -> Trino:
    """Trino with the table's namespace as its default, as a client of Athena sets it."""
    catalog, namespace, _ = trino.name_of(written.table).split(".")
    trino.sql(f"USE {catalog}.{namespace}")
    return trino


def sql_of(query: Query, written: WrittenSales) -> str:
    return query.sql(written.values())


def on_duckdb(sql: str, written: WrittenSales) -> list[Row]:
    table, config = written.table.load(), written.table.config
    s3 = S3Access(config.region, ACCESS_KEY, SECRET_KEY, endpoint_url=config.endpoint_url)
    with closing(open_table(table.metadata_location, s3)) as connection:
        return comparable(run_athena_sql(connection, table, sql).rows)


def rounded(rows: list[Row]) -> list[Row]:
    """Return rows in which a sum of floating-point numbers does not depend on their order."""
    return [tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in rows]


@pytest.mark.parametrize("query", READING, ids=lambda query: query.name)
def test_trino_and_duckdb_find_the_same_rows(query: Query, at_the_table: Trino, written: WrittenSales) -> None:
    sql = sql_of(query, written)
    found = rounded(comparable(at_the_table.sql(sql)))
    assert found
    assert found == rounded(on_duckdb(sql, written))


@pytest.mark.parametrize("query", OF_SALES, ids=lambda query: query.name)
def test_a_query_reads_only_its_partitions(query: Query, at_the_table: Trino, written: WrittenSales) -> None:
    ((plan,),) = at_the_table.sql(f"EXPLAIN (TYPE IO, FORMAT JSON) {sql_of(query, written)}")
    scans = json.loads(plan)["inputTableColumnInfos"]
    assert scans
    for scan in scans:
        constraints = {each["columnName"]: each["domain"] for each in scan["constraint"]["columnConstraints"]}
        assert constraints.keys() >= PRUNED_BY.get(query.name, PARTITION)


def test_the_constraint_of_a_scan_is_the_tenant_and_month(at_the_table: Trino, written: WrittenSales) -> None:
    ((plan,),) = at_the_table.sql(f"EXPLAIN (TYPE IO, FORMAT JSON) {sql_of(queries()['average-price'], written)}")
    (scan,) = json.loads(plan)["inputTableColumnInfos"]
    constraints = {each["columnName"]: values(each["domain"]) for each in scan["constraint"]["columnConstraints"]}
    assert constraints == {"tenant_id": [TENANT], "year": [str(YEAR)], "month": [str(MONTH)]}


def test_a_condition_on_an_expression_does_not_prune(at_the_table: Trino) -> None:
    """The test above would notice: a computation over year and month is no constraint."""
    sql = "SELECT count(*) FROM sales_history WHERE year * 12 + month = 24312"
    ((plan,),) = at_the_table.sql(f"EXPLAIN (TYPE IO, FORMAT JSON) {sql}")
    (scan,) = json.loads(plan)["inputTableColumnInfos"]
    assert scan["constraint"]["columnConstraints"] == []


def values(domain: dict[str, Any]) -> list[str]:
    """Return the single values that a domain allows."""
    ranges = domain["ranges"]
    assert all(each["low"] == each["high"] and each["low"]["bound"] == "EXACTLY" for each in ranges)
    return [each["low"]["value"] for each in ranges]
