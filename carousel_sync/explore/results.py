"""Printing the result of a query: as a table for people, as JSON, and as CSV."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Final

from rich.console import Console

from carousel_sync.command_line.console import stderr, stdout
from carousel_sync.command_line.tables import Cell, Column, Kind, show_table
from carousel_sync.command_line.text import cell, json_text, printable
from carousel_sync.explore.sql import Result

ROWS_SHOWN: Final = 500
LIST_VALUES_SHOWN: Final = 3
_MUST_BE_QUOTED: Final = re.compile(r'[",\r\n]')


def show(result: Result, console: Console) -> None:
    """Print up to ROWS_SHOWN rows for people, with long lists shortened, and null as NULL."""
    rows = list(islice(result.rows, ROWS_SHOWN + 1))
    if rows:
        kinds = (Kind.NUMBER if any(map(_is_number, column)) else Kind.VALUE for column in zip(*rows, strict=True))
        columns = [Column(name, kind) for name, kind in zip(result.columns, kinds, strict=True)]
        show_table(columns, [[_cell(value) for value in row] for row in rows[:ROWS_SHOWN]], console)
    else:
        console.print(f"No rows. Columns: {', '.join(result.columns)}", soft_wrap=True)
    if len(rows) > ROWS_SHOWN:
        stderr.print(f"Only the first {ROWS_SHOWN} rows are shown. For all of them, use --csv or --json.")


def write_json(result: Result) -> None:
    """Print a JSON array with one object per row. Numbers that a JSON reader would round are strings."""
    start = "[\n  "
    for row in result.rows:
        named = {name: json_value(value) for name, value in zip(result.columns, row, strict=True)}
        sys.stdout.write(start + json_text(named))
        start = ",\n  "
    sys.stdout.write("[]\n" if start.startswith("[") else "\n]\n")


def write_csv(result: Result) -> None:
    """Print comma-separated values with a header. Lists and structures are JSON.

    Null is empty, and the empty text is a pair of quotation marks, as PostgreSQL writes them. Text is written as it is,
    except to a terminal, which would obey its control characters.
    """
    shown = printable if stdout.is_terminal else str
    for row in chain([result.columns], result.rows):
        sys.stdout.write(shown(",".join(map(_csv_field, row))) + "\n")


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


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(json_value(value), ensure_ascii=False) if isinstance(value, list | dict) else _text(value)
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if not text or _MUST_BE_QUOTED.search(text) else text


def _cell(value: Any) -> Cell:
    return cell("NULL", style="dim") if value is None else _readable(value)


def _readable(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        first = ", ".join(_readable(content) for content in value[:LIST_VALUES_SHOWN])
        return f"[{first}]" if len(value) <= LIST_VALUES_SHOWN else f"[{first}, … {len(value)} values]"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1 else f"{value:,.2f}"
    return _text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
