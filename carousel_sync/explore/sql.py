"""Running SQL on an open DuckDB connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
from duckdb import DuckDBPyConnection

from lambda_fn.errors import CarouselSyncError

ROWS_PER_FETCH: Final = 1_000

Row = tuple[Any, ...]


class QueryFailed(CarouselSyncError):
    """DuckDB could not run the SQL. The message is DuckDB's own."""


@dataclass(frozen=True)
class Result:
    """The result of a query: the names of its columns, and its rows, which are fetched as they are consumed."""

    columns: Sequence[str]
    rows: Iterator[Row]


def run(connection: DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
    """Run SQL, with values for its parameters ``$name``. Ctrl-C stops the query.

    Raises QueryFailed, also from the iterator of rows.
    """
    try:
        if not connection.extract_statements(sql):
            raise QueryFailed("The SQL contains no statement.")
        reader = connection.execute(sql, parameters).to_arrow_reader(ROWS_PER_FETCH)
    except duckdb.Error as error:
        raise QueryFailed(str(error)) from error
    except RuntimeError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        # DuckDB's answer to Ctrl-C. Its threads still work on the query.
        connection.interrupt()
        raise KeyboardInterrupt from error

    def rows() -> Iterator[Row]:
        try:
            for batch in reader:
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except (duckdb.Error, OSError) as error:
            raise QueryFailed(str(error)) from error

    return Result(columns=list(reader.schema.names), rows=rows())
