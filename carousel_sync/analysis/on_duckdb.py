"""Athena's SQL on DuckDB: the dialect is translated, and Iceberg's metadata tables and time travel are provided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import sqlglot
from duckdb import DuckDBPyConnection
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of
from sqlglot import exp

from carousel_sync.analysis.parameters import DIALECT
from carousel_sync.explore.duckdb_table import VIEW
from carousel_sync.explore.sql import QueryFailed, Result, run

_QUERY: Final = frozenset({sqlglot.TokenType.SELECT, sqlglot.TokenType.WITH})
_METADATA: Final[Mapping[str, Callable[[Table], pa.Table]]] = {
    "files": lambda table: table.inspect.files(),
    "snapshots": lambda table: _in_utc(table.inspect.snapshots(), "committed_at"),
    "partitions": lambda table: _renamed(table.inspect.partitions(), {"total_data_file_size_in_bytes": "total_size"}),
}
"""Iceberg's metadata tables as pyiceberg has them, with the names that Athena gives to their columns."""


def run_athena_sql(connection: DuckDBPyConnection, table: Table, sql: str) -> Result:
    """Run a query in Athena's dialect. The connection has the table as a view, as ``open_sales`` returns it.

    Raises QueryFailed: for a statement that only Athena runs, for a point in time before the table's oldest snapshot,
    and when DuckDB can't run the query.
    """
    if sqlglot.tokenize(sql, read=DIALECT)[0].token_type not in _QUERY:
        raise QueryFailed(
            "Only Athena runs this statement. DuckDB runs queries: they begin with SELECT or WITH. Nothing was run."
        )
    tree = sqlglot.parse_one(sql, read=DIALECT)
    for found in list(tree.find_all(exp.Table)):
        _provide(connection, table, found)
    return run(connection, tree.sql(dialect="duckdb", comments=False))


def _provide(connection: DuckDBPyConnection, table: Table, found: exp.Table) -> None:
    """Create what a table in the query stands for, and let the query name it."""
    metadata = found.name.partition(f"{VIEW}$")[2]
    version = found.args.get("version")
    if metadata:
        if metadata not in _METADATA:
            raise QueryFailed(f"The metadata table {metadata!r} is not known. There are {', '.join(_METADATA)}.")
        connection.register(found.name, _METADATA[metadata](table))
    elif version is not None:
        snapshot_id = _snapshot_at(table, _point_in_time(version))
        name = f"{VIEW} at {snapshot_id}"
        scan = f"iceberg_scan('{table.metadata_location}', snapshot_from_id => {snapshot_id})"
        connection.execute(f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM {scan}')  # noqa: S608
        found.replace(exp.Table(this=exp.to_identifier(name, quoted=True), alias=found.args.get("alias")))


def _point_in_time(version: exp.Expression) -> datetime:
    text = version.find(exp.Literal)
    try:
        if version.name != "TIMESTAMP" or text is None:
            raise ValueError(version.sql(dialect=DIALECT))
        return datetime.fromisoformat(text.name.removesuffix(" UTC")).replace(tzinfo=UTC)
    except ValueError as error:
        raise QueryFailed(
            f"{error}: on DuckDB, time travel takes a point in time such as TIMESTAMP '2025-12-31 12:00:00 UTC'."
        ) from error


def _snapshot_at(table: Table, when: datetime) -> int:
    """Return the snapshot that was current at a point in time."""
    milliseconds = when.timestamp() * 1000
    ancestors = list(ancestors_of(table.current_snapshot(), table.metadata))
    found = next((snapshot for snapshot in ancestors if snapshot.timestamp_ms <= milliseconds), None)
    if found is not None:
        return found.snapshot_id
    oldest = f"its oldest is of {_moment(ancestors[-1].timestamp_ms)}" if ancestors else "it has none at all"
    raise QueryFailed(f"The table has no snapshot of {_moment(milliseconds)} or before: {oldest}.")


def _moment(milliseconds: float) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _in_utc(rows: pa.Table, name: str) -> pa.Table:
    position = rows.schema.get_field_index(name)
    return rows.set_column(position, name, rows[name].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")))


def _renamed(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    return rows.rename_columns([names.get(name, name) for name in rows.column_names])
