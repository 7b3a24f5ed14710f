"""The readers that run in this process: DuckDB and pyiceberg."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection

from carousel_sync.explore.duckdb_table import S3Access, open_table
from carousel_sync.explore.sql import run
from testbed.emulator import ACCESS_KEY, SECRET_KEY
from tests.engines.readers.reader import SALES, Row, comparable
from tests.tables import TableUnderTest


class DuckDB:
    """DuckDB with its extension for Iceberg, as ``carousel-sync query`` opens it."""

    def rows(self, table: TableUnderTest, statement: str, snapshot_id: int | None = None) -> list[Row]:
        """Run a SELECT statement as a :class:`Reader` does."""
        config, location = table.config, table.load().metadata_location
        s3 = S3Access(config.region, ACCESS_KEY, SECRET_KEY, endpoint_url=config.endpoint_url)
        at = f", snapshot_from_id => {snapshot_id}" if snapshot_id else ""
        with closing(open_table(location, s3)) as connection:
            return _rows(connection, statement.replace(SALES, f"iceberg_scan('{location}'{at})"))


class PyIceberg:
    """pyiceberg's own scan of all rows. DuckDB then runs the statement over the resulting Arrow table."""

    def rows(self, table: TableUnderTest, statement: str, snapshot_id: int | None = None) -> list[Row]:
        """Run a SELECT statement as a :class:`Reader` does."""
        return query_arrow(table.load().scan(snapshot_id=snapshot_id).to_arrow(), statement)


def query_arrow(sales: pa.Table, statement: str) -> list[Row]:
    """Run a SELECT statement over an Arrow table."""
    with closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("sales", sales)
        return _rows(connection, statement.replace(SALES, "sales"))


def _rows(connection: DuckDBPyConnection, statement: str) -> list[Row]:
    found: Any = run(connection, statement).rows
    return comparable(found)
