"""Printing the result of a query: as a table for people, as JSON, and as CSV."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from carousel_sync.command_line.console import stderr
from carousel_sync.explore.sql import Result

ROWS_SHOWN: Final = 500
LIST_VALUES_SHOWN: Final = 3
MIN_COLUMN_WIDTH: Final = 20
COLUMN_GAP: Final = 3


def show(result: Result, console: Console) -> None:
    """Print up to ROWS_SHOWN rows for people, with long lists shortened.

    The rows form a table, or one record after the other where the table would be wider than the console.
    """
    rows = list(islice(result.rows, ROWS_SHOWN + 1))
    texts = [[_readable(value) for value in row] for row in rows[:ROWS_SHOWN]]
    widths = [
        max(len(name), *(min(len(row[position]), MIN_COLUMN_WIDTH) for row in texts), 0)
        for position, name in enumerate(result.columns)
    ]
    if not texts:
        console.print(f"No rows. Columns: {', '.join(result.columns)}", markup=False, soft_wrap=True)
    elif sum(widths) + COLUMN_GAP * len(widths) > console.width:
        _show_records(result.columns, texts, console)
    else:
        numeric = [any(_is_number(value) for value in column) for column in zip(*rows, strict=True)]
        show_table(dict(zip(result.columns, numeric, strict=True)), texts, console)
    if len(rows) > ROWS_SHOWN:
        stderr.print(f"Only the first {ROWS_SHOWN} rows are shown. For all of them, use --csv or --json.")


def show_table(columns: Mapping[str, bool], texts: Iterable[Sequence[str]], console: Console) -> None:
    """Print a table. ``columns`` has the columns by name; those with True have numbers, aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD)
    for name, numeric in columns.items():
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in texts:
        table.add_row(*row)
    console.print(table, markup=False)


def _show_records(columns: Sequence[str], texts: Sequence[Sequence[str]], console: Console) -> None:
    width = max(len(name) for name in columns)
    for number, row in enumerate(texts, start=1):
        console.print(f"row {number}", style="bold")
        for name, text in zip(columns, row, strict=True):
            console.print(f"  {name:<{width}}  {text}", markup=False, soft_wrap=True)


def write_json(result: Result) -> None:
    """Print a JSON array with one object per row. Numbers that a JSON reader would round are strings."""
    start = "[\n  "
    for row in result.rows:
        named = {name: json_value(value) for name, value in zip(result.columns, row, strict=True)}
        sys.stdout.write(start + json.dumps(named, ensure_ascii=False))
        start = ",\n  "
    sys.stdout.write("[]\n" if start.startswith("[") else "\n]\n")


def write_csv(result: Result) -> None:
    """Print comma-separated values with a header. Lists and structures are JSON; null is empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(result.columns)
    for row in result.rows:
        writer.writerow([_csv_value(value) for value in row])


def json_value(value: Any) -> Any:
    """Convert a value for JSON. Types that JSON does not have, and numbers a reader would round, become strings."""
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


def _readable(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        first = ", ".join(_readable(content) for content in value[:LIST_VALUES_SHOWN])
        return f"[{first}]" if len(value) <= LIST_VALUES_SHOWN else f"[{first}, … {len(value)} values]"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1 else f"{value:,.2f}"
    return _text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
