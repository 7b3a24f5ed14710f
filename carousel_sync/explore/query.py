"""``carousel-sync query``: SQL over the Iceberg table, run by DuckDB on this machine."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, Final

import duckdb
import typer
from duckdb import DuckDBPyConnection
from rich import box
from rich.console import Console
from rich.table import Table

from carousel_sync.aws.target import resolve
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    JsonOption,
    LocalOption,
    StageOption,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.explore.duckdb_table import VIEW, open_sales
from lambda_fn.errors import CarouselSyncError

ROWS_AT_ONCE: Final = 1_000
ROWS_FOR_PEOPLE: Final = 500
VALUES_OF_A_LIST: Final = 3
LEAST_COLUMN_WIDTH: Final = 20
COLUMN_GAP: Final = 3

Row = tuple[Any, ...]


class QueryFailed(CarouselSyncError):
    """DuckDB could not run the SQL; the message is DuckDB's own."""


@dataclass(frozen=True)
class Result:
    """What a query answers: the columns' names, and the rows as they come."""

    columns: Sequence[str]
    rows: Iterator[Row]


def query(
    sql: Annotated[str, typer.Argument(help=f"SQL in DuckDB's dialect; the table's name is {VIEW}.")],
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values, with a header.")] = False,
) -> None:
    """Run SQL over the Iceberg table as it stands now.

    A table for people shows long lists shortened; --json and --csv print every value.
    """
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    with readable_errors():
        target = resolve(stage, local)
        with working_on(f"Opening the Iceberg table at {target}"):
            connection = open_sales(target)
        with connection:
            result = run(connection, sql)
            if as_json:
                write_json(result)
            elif as_csv:
                write_csv(result)
            else:
                show(result, stdout)


def run(connection: DuckDBPyConnection, sql: str) -> Result:
    """Run SQL. Rows are fetched as they are consumed. Raises QueryFailed, also while they are."""
    try:
        with working_on("Running the query"):
            if not connection.extract_statements(sql):
                raise QueryFailed("There is no statement in the SQL.")
            reader = connection.execute(sql).to_arrow_reader(ROWS_AT_ONCE)
    except duckdb.Error as error:
        raise QueryFailed(str(error)) from error

    def rows() -> Iterator[Row]:
        try:
            for batch in reader:
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except (duckdb.Error, OSError) as error:
            raise QueryFailed(str(error)) from error

    return Result(columns=list(reader.schema.names), rows=rows())


def show(result: Result, console: Console) -> None:
    """Print rows for people: as a table, or as one record after the other where a table would be too wide.

    Numbers stand to the right, lists are shortened, and there are no more rows than anybody reads.
    """
    rows = list(islice(result.rows, ROWS_FOR_PEOPLE + 1))
    texts = [[_for_people(value) for value in row] for row in rows[:ROWS_FOR_PEOPLE]]
    widths = [
        max(len(name), *(min(len(row[position]), LEAST_COLUMN_WIDTH) for row in texts), 0)
        for position, name in enumerate(result.columns)
    ]
    if not texts:
        console.print(f"No rows. Columns: {', '.join(result.columns)}", markup=False, highlight=False, soft_wrap=True)
    elif sum(widths) + COLUMN_GAP * len(widths) > console.width:
        _show_records(result.columns, texts, console)
    else:
        numeric = [any(_is_number(value) for value in column) for column in zip(*rows, strict=True)]
        _show_table(result.columns, numeric, texts, console)
    if len(rows) > ROWS_FOR_PEOPLE:
        stderr.print(f"These are the first {ROWS_FOR_PEOPLE} rows. All of them: --csv or --json.")


def _show_table(
    columns: Sequence[str], numeric: Sequence[bool], texts: Sequence[Sequence[str]], console: Console
) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in texts:
        table.add_row(*row)
    console.print(table, markup=False, highlight=False)


def _show_records(columns: Sequence[str], texts: Sequence[Sequence[str]], console: Console) -> None:
    width = max(len(name) for name in columns)
    for number, row in enumerate(texts, start=1):
        console.print(f"row {number}", style="bold")
        for name, text in zip(columns, row, strict=True):
            console.print(f"  {name:<{width}}  {text}", markup=False, highlight=False, soft_wrap=True)


def write_json(result: Result) -> None:
    """Print one JSON array of objects, row by row. Numbers stay numbers where JSON can carry them exactly."""
    start = "[\n  "
    for row in result.rows:
        named = {name: json_value(value) for name, value in zip(result.columns, row, strict=True)}
        sys.stdout.write(start + json.dumps(named, ensure_ascii=False))
        start = ",\n  "
    sys.stdout.write("[]\n" if start.startswith("[") else "\n]\n")


def write_csv(result: Result) -> None:
    """Print comma-separated values with a header; lists and structures as JSON, nothing for null."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(result.columns)
    for row in result.rows:
        writer.writerow([_csv_value(value) for value in row])


def json_value(value: Any) -> Any:
    """Return the value as JSON has it; what JSON has not, as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return _exact_number(value)
    if isinstance(value, dict):
        return {str(name): json_value(content) for name, content in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [json_value(content) for content in value]
    return _text(value)


def _exact_number(value: Decimal) -> int | float | str:
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def _csv_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(json_value(value), ensure_ascii=False)
    return _text(value)


def _for_people(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        first = ", ".join(_for_people(content) for content in value[:VALUES_OF_A_LIST])
        return f"[{first}]" if len(value) <= VALUES_OF_A_LIST else f"[{first}, … {len(value)} values]"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1 else f"{value:,.2f}"
    return _text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
