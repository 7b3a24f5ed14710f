"""What may be published about the sales of several tenants, and what is withheld.

A figure is published only if enough tenants contributed to it, and none of them dominates it: statistical offices call
this the threshold rule and the dominance rule (Hundepool et al., "Statistical Disclosure Control", 2012, chapter 4).
Nothing that can be added up is published: no sum, no average, no exact count. So a withheld cell is not the
difference of two published ones, and neither is a tenant that only one of two reports covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final

from carousel_sync.report.cells import OWN, Cell, Contributors
from lambda_fn.errors import ConfigurationError

DEFAULT_TENANTS: Final = 3
LEAST_TENANTS: Final = 3
DEFAULT_SHARE: Final = 60
MIN_SALES: Final = 10
SHARE_STEP: Final = 5
"""Shares are rounded to multiples of this percentage."""
_PERCENT: Final = 100


class Reason(StrEnum):
    """Why figures are withheld."""

    FEW_TENANTS = "too few tenants"
    FEW_SALES = "too few sales"
    DOMINATED = "one tenant dominates"
    NONE_STATED = "no figures"


@dataclass(frozen=True)
class Rules:
    """The rules of a report: the least number of tenants, and the largest share of one tenant in percent.

    Raises ConfigurationError for values that protect nobody: with two tenants, each of them finds the other's figures
    by taking away its own.
    """

    tenants: int = DEFAULT_TENANTS
    share: int = DEFAULT_SHARE

    def __post_init__(self) -> None:
        if self.tenants < LEAST_TENANTS:
            raise ConfigurationError(
                f"--k {self.tenants}: the least is {LEAST_TENANTS}, because each of two tenants can tell the other's "
                "part from its own. Nothing was read."
            )
        if not 0 < self.share < _PERCENT:
            raise ConfigurationError(f"--max-share {self.share}: give a percentage from 1 to 99. Nothing was read.")

    def reason(self, contributors: Contributors) -> Reason | None:
        """Return why figures from these contributors are withheld, or None if they are published.

        That nobody contributes is not told apart from too few tenants.
        """
        if contributors.tenants < self.tenants:
            return Reason.FEW_TENANTS
        if contributors.sales < MIN_SALES:
            return Reason.FEW_SALES
        if self._exceeds(contributors.top_sales, contributors.sales):
            return Reason.DOMINATED
        if self._exceeds(contributors.top_value, contributors.value):
            return Reason.DOMINATED
        return None

    def _exceeds(self, part: Decimal | int, whole: Decimal | int) -> bool:
        return part * _PERCENT > whole * self.share

    def explained(self, reason: Reason) -> str:
        """Return the reason with the numbers of the rule."""
        return {
            Reason.FEW_TENANTS: f"fewer than {self.tenants} tenants",
            Reason.FEW_SALES: f"fewer than {MIN_SALES} sales",
            Reason.DOMINATED: f"one tenant has more than {self.share} % of the sales or of their value",
            Reason.NONE_STATED: "no sale states it",
        }[reason]


@dataclass(frozen=True)
class Prices:
    """The quartiles of the prices."""

    lower_quartile: Decimal
    median: Decimal
    upper_quartile: Decimal


@dataclass(frozen=True)
class Speed:
    """How fast products sell: the median of the days, and the percentage that is sold within a number of days."""

    median_days: int
    within: Mapping[int, int]


@dataclass(frozen=True)
class Figures:
    """The figures of a cell as a report shows them. ``sales`` is a number, or a range such as "100-199"."""

    sales: str | Reason
    prices: Prices | Reason
    speed: Speed | Reason


def figures_of(cell: Cell, rules: Rules) -> Figures:
    """Return what a report shows of a cell. A tenant's own cell is shown in full."""
    own = cell.side == OWN
    priced = None if own else rules.reason(cell.priced)
    timed = None if own else rules.reason(cell.timed)
    sales: str | Reason = priced or (str(cell.priced.sales) if own else count_range(cell.priced.sales))
    return Figures(sales, priced or _prices(cell), timed or _speed(cell, step=1 if own else SHARE_STEP))


def count_range(count: int) -> str:
    """Return the range that stands for a count: 10-19, 20-49, 50-99, 100-199 and so on.

    Two counts that share a range may differ by half of its upper end, so that the difference of two published ranges
    says little about the tenant or the brand that makes the difference. Raises ValueError below MIN_SALES.
    """
    if count < MIN_SALES:
        raise ValueError(count)
    start = 10 ** (len(str(count)) - 1)
    bounds = (start, 2 * start, 5 * start, 10 * start)
    lower, upper = next((low, high) for low, high in pairwise(bounds) if count < high)
    return f"{lower}-{upper - 1}"


def _prices(cell: Cell) -> Prices | Reason:
    if cell.lower_quartile is None or cell.median_price is None or cell.upper_quartile is None:
        return Reason.NONE_STATED
    return Prices(cell.lower_quartile, cell.median_price, cell.upper_quartile)


def _speed(cell: Cell, step: int) -> Speed | Reason:
    if cell.median_days is None:
        return Reason.NONE_STATED
    within = {days: step * round(_PERCENT * count / cell.timed.sales / step) for days, count in cell.within.items()}
    return Speed(cell.median_days, within)
