"""The queries of the report on Spark: translated by sqlglot, they find what DuckDB finds, to the cent."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlglot

from carousel_sync.analysis.on_duckdb import run_athena_sql
from carousel_sync.analysis.parameters import DIALECT
from carousel_sync.analysis.query_file import query_named
from carousel_sync.explore.duckdb_table import S3Access, open_table
from testbed.emulator import ACCESS_KEY, SECRET_KEY
from tests.engines.fixtures import IcebergRestServer
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.reader import comparable
from tests.engines.readers.spark_engine import Spark
from tests.sales_of_tenants import WrittenSales, write_sales
from tests.tables import provisioned, rest_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]


@pytest.fixture(scope="module")
def written(iceberg_rest_server: IcebergRestServer) -> WrittenSales:
    return write_sales(provisioned(rest_config(iceberg_rest_server)))


@pytest.mark.parametrize("name", ["market-prices", "market-weeks", "market-seasons", "market-discounts"])
def test_spark_and_duckdb_find_the_same_figures(name: str, spark: Spark, written: WrittenSales) -> None:
    sql = query_named(name).sql(written.values())
    tree = sqlglot.parse_one(sql, read=DIALECT)
    for table in tree.find_all(sqlglot.exp.Table):
        if table.name == "sales_history":
            table.replace(sqlglot.to_table(spark.name_of(written.table)))
    found = comparable(spark.sql(tree.sql(dialect="spark", comments=False)))
    loaded, config = written.table.load(), written.table.config
    s3 = S3Access(config.region, ACCESS_KEY, SECRET_KEY, endpoint_url=config.endpoint_url)
    with closing(open_table(loaded.metadata_location, s3)) as connection:
        expected = comparable(run_athena_sql(connection, loaded, sql).rows)
    assert len(found) > 10
    # The engines sort NULL differently.
    assert sorted(found, key=repr) == sorted(expected, key=repr)
