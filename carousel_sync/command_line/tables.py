"""Tables for people and for pipes.

On a terminal a table has borders. Only prose is wrapped in it: where a value would not fit, each record is printed as
lines of names and values instead, so that a value can always be copied. Without a terminal, a table is lines of values
separated by tabs, with the names of the columns in the first line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from carousel_sync.command_line.text import cell, one_line

LEAST_PROSE_WIDTH: Final = 20
"""Characters that a column of prose needs in a table."""
_GAP: Final = 3


class Kind(StrEnum):
    """What a column contains. Numbers are aligned to the right; prose may be wrapped."""

    VALUE = "value"
    NUMBER = "number"
    PROSE = "prose"


class Column(NamedTuple):
    """A column with its name, which may be empty."""

    name: str
    kind: Kind = Kind.VALUE


Cell = str | Text
Row = Sequence[Cell] | None
"""The cells of a record. None draws a line between the records around it."""


def show_table(columns: Sequence[Column | str], rows: Iterable[Row], console: Console, title: str = "") -> None:
    """Print records as a table, as lines of names and values, or as lines for a pipe.

    Strings are printed on one line and without being interpreted; a Text keeps its style.
    """
    given = (Column(column) if isinstance(column, str) else column for column in columns)
    named = [Column(one_line(column.name), column.kind) for column in given]
    texts = [row if row is None else [each if isinstance(each, Text) else cell(each) for each in row] for row in rows]
    if not console.is_terminal:
        _show_lines(named, texts, console, title)
    elif _least_width(named, texts) <= console.width:
        console.print(_table(named, texts, title))
    else:
        _show_records(named, texts, console, title)


def _show_lines(columns: Sequence[Column], rows: Sequence[Sequence[Text] | None], console: Console, title: str) -> None:
    if title:
        console.print(title, soft_wrap=True)
    if any(column.name for column in columns):
        _write([Text(column.name) for column in columns], console)
    for row in rows:
        if row is not None:
            _write(row, console)


def _write(texts: Sequence[Text], console: Console) -> None:
    # rich would replace tabs by spaces.
    console.file.write("\t".join(text.plain.replace("\n", " ") for text in texts) + "\n")


def _show_records(
    columns: Sequence[Column], rows: Sequence[Sequence[Text] | None], console: Console, title: str
) -> None:
    if title:
        console.print(title, style="bold", soft_wrap=True)
    width = max(len(column.name) for column in columns)
    for row in filter(None, rows):
        for column, each in zip(columns, row, strict=True):
            # A value keeps its line even if it is longer: the terminal breaks it, and a copy of it has no break.
            console.print(Text.assemble((f"{column.name:<{width}}  ", "bold"), each), soft_wrap=True)
        console.print()


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[Text] | None]) -> int:
    widths = [max((_longest_line(row[number]) for row in rows if row), default=0) for number in range(len(columns))]
    least = [
        max(len(column.name), min(width, LEAST_PROSE_WIDTH) if column.kind is Kind.PROSE else width)
        for column, width in zip(columns, widths, strict=True)
    ]
    return sum(least) + _GAP * len(columns) + 1


def _longest_line(text: Text) -> int:
    return max(line.cell_len for line in text.split(allow_blank=True)) if text.plain else 0


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Text] | None], title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title or None, show_header=any(column.name for column in columns))
    for column in columns:
        table.add_column(
            Text(column.name),
            justify="right" if column.kind is Kind.NUMBER else "left",
            no_wrap=column.kind is not Kind.PROSE,
            overflow="fold",
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    return table
