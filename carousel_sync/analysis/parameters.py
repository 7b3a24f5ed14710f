"""The parameters of the queries: their types, and their values as SQL literals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from typing import Final

from sqlglot import exp

from lambda_fn.errors import ConfigurationError

DIALECT: Final = "athena"
MIN_TENANTS: Final = 2
MAX_TENANT_LENGTH: Final = 128

Value = str | int | date | datetime
"""A text, a whole number, a day, or a point in time."""

EXAMPLES: Final[Mapping[str, Value]] = {
    "tenant": "carousel-labs",
    "year": 2025,
    "month": 12,
    "days": 30,
    "k": 3,
    "as_of": datetime(2025, 12, 31, 12, tzinfo=UTC),
    "first_day": date(2025, 12, 1),
    "last_day": date(2025, 12, 31),
}
"""Every parameter, with the value that the saved queries in the template have."""

DEFAULTS: Final[Mapping[str, Value]] = {"days": 30, "k": 3}
"""The parameters that need not be given."""

OPTIONS: Final[Mapping[str, str]] = {
    "year": "--month",
    "month": "--month",
    "as_of": "--as-of",
    "first_day": "--from",
    "last_day": "--to",
}
"""The command-line options that give a parameter, where they are not called as the parameter is."""

# The rule for a tenant in lambda_fn/event.py.
_TENANT: Final = re.compile(r"[^#\x00-\x1f\x7f-\x9f]+")
# Leaves room for the months before a period.
_EARLIEST_YEAR: Final = 1000
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, kw_only=True)
class Given:
    """The values that a user gave. None: not given."""

    tenant: str | None = None
    month: str | None = None
    days: int | None = None
    k: int | None = None
    as_of: datetime | None = None
    first_month: str | None = None
    last_month: str | None = None

    def values(self) -> dict[str, Value]:
        """Return the given values by the names of the parameters.

        A month gives ``year`` and ``month``. The first and the last month give ``first_day`` and ``last_day``.

        Raises ConfigurationError for a value that no query accepts.
        """
        found: dict[str, Value] = {}
        if self.tenant is not None:
            found["tenant"] = _tenant(self.tenant)
        if self.month is not None:
            found["year"], found["month"] = _year_and_month("--month", self.month)
        if self.days is not None:
            found["days"] = _at_least(0, "--days", self.days)
        if self.k is not None:
            found["k"] = _at_least(MIN_TENANTS, "--k", self.k)
        if self.as_of is not None:
            found["as_of"] = self.as_of
        if self.first_month is not None:
            found["first_day"] = first_day("--from", self.first_month)
        if self.last_month is not None:
            found["last_day"] = last_day("--to", self.last_month)
        return found


def first_day(option: str, month: str) -> date:
    """Return the first day of a month such as 2025-12, which an option gives. Raises ConfigurationError."""
    return date(*_year_and_month(option, month), 1)


def last_day(option: str, month: str) -> date:
    """Return the last day of a month such as 2025-12, which an option gives. Raises ConfigurationError."""
    year, number = _year_and_month(option, month)
    return date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)


def literal(value: Value) -> str:
    """Return a value as a literal of Athena's SQL. Whatever a text contains, it stays one literal.

    A day is a text that follows the word DATE. A point in time is one that follows TIMESTAMP: without a zone, it is in
    UTC.
    """
    if isinstance(value, datetime):
        in_utc = value.astimezone(UTC) if value.tzinfo else value
        return literal(in_utc.replace(tzinfo=None).isoformat(" ", "milliseconds") + " UTC")
    if isinstance(value, date):
        return literal(value.isoformat())
    if isinstance(value, int):
        return exp.Literal.number(value).sql(dialect=DIALECT)
    return exp.Literal.string(value).sql(dialect=DIALECT)


def _tenant(text: str) -> str:
    if len(text) > MAX_TENANT_LENGTH or not _TENANT.fullmatch(text):
        raise ConfigurationError(
            f"--tenant {text!r}: a tenant has 1 to {MAX_TENANT_LENGTH} characters, without # and control characters."
        )
    return text


def _year_and_month(option: str, text: str) -> tuple[int, int]:
    found = _MONTH.fullmatch(text)
    if found is None or not _EARLIEST_YEAR <= int(found[1]) < MAXYEAR:
        raise ConfigurationError(f"{option} {text!r}: give a year and a month, such as 2025-12.")
    return int(found[1]), int(found[2])


def _at_least(minimum: int, option: str, number: int) -> int:
    if number < minimum:
        raise ConfigurationError(f"{option} {number}: the least is {minimum}.")
    return number
