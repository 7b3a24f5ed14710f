"""The months that a report covers, and the months that it compares them with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from carousel_sync.analysis.parameters import first_day, last_day
from lambda_fn.errors import ConfigurationError

MONTHS_A_YEAR: Final = 12
LONGEST: Final = 120
_MONTHS_A_QUARTER: Final = 3


@dataclass(frozen=True)
class Period:
    """Whole months, from the first day to the last."""

    first_day: date
    last_day: date

    @property
    def months(self) -> int:
        """The number of months."""
        return _number(self.last_day) - _number(self.first_day) + 1

    @property
    def before(self) -> Period:
        """The same number of months, right before."""
        return Period(_month(_number(self.first_day) - self.months), self.first_day - timedelta(days=1))

    @property
    def history(self) -> Period:
        """The months that show a trend: from the beginning of a quarter, a year or more, up to the end of this one."""
        earliest = min(_number(self.last_day) - MONTHS_A_YEAR + 1, _number(self.first_day))
        return Period(_month(earliest - earliest % _MONTHS_A_QUARTER), self.last_day)

    @property
    def read(self) -> Period:
        """The months that a report of this period reads."""
        return Period(min(self.before.first_day, self.history.first_day), self.last_day)

    def __str__(self) -> str:
        last = f"{self.last_day:%B %Y}"
        if self.months == 1:
            return last
        first = f"{self.first_day:%B}" if self.first_day.year == self.last_day.year else f"{self.first_day:%B %Y}"
        return f"{first} to {last}"


def period_of(month: str | None, first: str | None, last: str | None) -> Period:
    """Return the period that the options --month, or --from and --to, give.

    Raises ConfigurationError when they give none, or one that is too long or ends before it begins.
    """
    if (month is None) == (first is None and last is None) or (first is None) != (last is None):
        raise ConfigurationError("Give --month, such as --month 2025-12, or both --from and --to. Nothing was read.")
    if month is not None:
        return Period(first_day("--month", month), last_day("--month", month))
    period = Period(first_day("--from", first or ""), last_day("--to", last or ""))
    if not 1 <= period.months <= LONGEST:
        raise ConfigurationError(
            f"--from {first} --to {last}: give a period of 1 to {LONGEST} months. Nothing was read."
        )
    return period


def _number(day: date) -> int:
    """Count months without a gap, so that a year and its quarters begin with a multiple of twelve and three."""
    return day.year * MONTHS_A_YEAR + day.month - 1


def _month(number: int) -> date:
    return date(number // MONTHS_A_YEAR, number % MONTHS_A_YEAR + 1, 1)
