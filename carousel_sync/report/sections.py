"""A report as values: questions, each with its answer in words and a table. Page, CSV and JSON show the same rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from io import StringIO
from typing import Any, Final

from carousel_sync.explore.results import json_value
from carousel_sync.report.cells import TenantRow
from carousel_sync.report.disclosure import Rules
from carousel_sync.report.period import Period

Value = str | int | Decimal | date | None
"""A value of a table. None: withheld, or there is none."""

# A spreadsheet takes a text that begins with one of these for a formula (OWASP, "CSV Injection").
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_CENT: Final = Decimal("0.01")


class Kind(StrEnum):
    """What a column contains."""

    TEXT = "text"
    RANGE = "range"
    PRICE = "price"
    DAYS = "days"
    PERCENT = "percent"


@dataclass(frozen=True)
class Column:
    """A column of a table: its name in CSV and JSON, its heading on the page, and what it contains."""

    name: str
    heading: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True)
class Section:
    """A question with its answer. ``withheld`` says in words which rows are left out or empty, and why."""

    key: str
    question: str
    answer: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    withheld: Sequence[str] = ()
    note: str = ""

    def records(self) -> Iterator[dict[str, Value]]:
        """Yield the rows with the names of the columns."""
        for row in self.rows:
            yield {column.name: value for column, value in zip(self.columns, row, strict=True)}

    def csv(self) -> str:
        """Return the table as comma-separated values with a header. Prices are rounded to two decimal places.

        A text that a spreadsheet would run as a formula follows an apostrophe.
        """
        text = StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow([column.name for column in self.columns])
        for row in self.rows:
            writer.writerow([_csv_value(value) for value in row])
        return text.getvalue()


@dataclass(frozen=True)
class Chapter:
    """All questions about the sales in one currency. ``currency`` is empty if the sales do not state it."""

    currency: str
    sales: str
    at_a_glance: Sequence[str]
    sections: Sequence[Section]


@dataclass(frozen=True)
class Report:
    """A report of a period. ``tenant`` is None for a report of the whole market.

    ``unnamed_currencies`` is the number of currencies that are left out because too few tenants sold in them.
    ``tenants`` is empty unless the report names tenants.
    """

    period: Period
    rules: Rules
    tenant: str | None
    chapters: Sequence[Chapter]
    unnamed_currencies: int = 0
    tenants: Sequence[TenantRow] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return every figure as a JSON document. Prices keep all their decimal places."""
        return {
            "from": self.period.first_day.isoformat(),
            "to": self.period.last_day.isoformat(),
            "comparedWith": {
                "from": self.period.before.first_day.isoformat(),
                "to": self.period.before.last_day.isoformat(),
            },
            "tenant": self.tenant,
            "rules": {"leastTenants": self.rules.tenants, "largestSharePercent": self.rules.share},
            "withheldCurrencies": self.unnamed_currencies,
            "currencies": [_chapter_as_json(chapter) for chapter in self.chapters],
            "tenants": [_named({**vars(row)}) for row in self.tenants],
        }


def cents(price: Decimal) -> Decimal:
    """Return a price rounded to two decimal places."""
    return price.quantize(_CENT)


def _chapter_as_json(chapter: Chapter) -> dict[str, Any]:
    return {
        "currency": chapter.currency or None,
        "sales": chapter.sales,
        "atAGlance": list(chapter.at_a_glance),
        "questions": [
            {
                "key": section.key,
                "question": section.question,
                "answer": section.answer,
                "withheld": list(section.withheld),
                "rows": [_named(record) for record in section.records()],
            }
            for section in chapter.sections
        ],
    }


def _named(record: Mapping[str, Value]) -> dict[str, Any]:
    return {name: json_value(value) for name, value in record.items()}


def _csv_value(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return str(cents(value))
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
