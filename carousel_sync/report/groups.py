"""Groups: the sides of a comparison side by side, with what may be published of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from carousel_sync.report.cells import OTHERS, OWN, Cell
from carousel_sync.report.disclosure import Figures, Prices, Reason, Rules, Speed, figures_of
from carousel_sync.report.sections import Column, Kind, Value

_NOTHING: Final = Figures(Reason.FEW_TENANTS, Reason.FEW_TENANTS, Reason.FEW_TENANTS)


@dataclass(frozen=True)
class View:
    """Who reads a report: everybody, or one tenant, which sees its own figures beside those of the others."""

    rules: Rules
    tenant: str | None = None

    @property
    def sides(self) -> Sequence[str]:
        """The sides that a table shows, in their order."""
        return (OWN, OTHERS) if self.tenant is not None else (OTHERS,)

    def columns(self, name: str, heading: str, kind: Kind) -> list[Column]:
        """Return a column for each side. Their names and headings tell the sides apart."""
        if self.tenant is None:
            return [Column(name, heading, kind)]
        return [
            Column(f"own_{name}", f"{heading}, you", kind),
            Column(f"others_{name}", f"{heading}, others", kind),
        ]


@dataclass(frozen=True)
class Group:
    """The figures of one group of sales by side. ``order`` has the number of sales, for sorting only."""

    key: tuple[Any, ...]
    sides: dict[str, Figures] = field(default_factory=dict)
    order: int = 0

    def side(self, name: str) -> Figures:
        """Return the figures of a side. A side without sales is withheld like one of too few tenants."""
        if name in self.sides:
            return self.sides[name]
        none = Reason.NONE_STATED
        return Figures("0", none, none) if name == OWN else _NOTHING

    @property
    def is_named(self) -> bool:
        """Whether the group may be named: the reader's own group, or one of enough tenants.

        The name of a brand that one tenant sells may tell which tenant that is.
        """
        return OWN in self.sides or self.side(OTHERS).sales is not Reason.FEW_TENANTS


def groups_of(cells: Iterable[Cell], rules: Rules, key: Callable[[Cell], tuple[Any, ...]]) -> list[Group]:
    """Return the groups of cells that share a key, sorted by the key."""
    sides: dict[tuple[Any, ...], dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        sides[key(cell)][cell.side] = cell
    return [
        Group(
            found,
            {side: figures_of(cell, rules) for side, cell in by_side.items()},
            sum(cell.priced.sales for cell in by_side.values()),
        )
        for found, by_side in sorted(sides.items(), key=lambda item: item[0])
    ]


def named_categories(groups: Iterable[Group]) -> set[str]:
    """Return the categories that may be named. The category is the first part of a group's key."""
    return {group.key[0] for group in groups if group.is_named}


def sales(group: Group, view: View) -> list[Value]:
    """Return the number of sales on each side."""
    return [_shown(group.side(side).sales) for side in view.sides]


def quartile(group: Group, view: View, pick: Callable[[Prices], Decimal]) -> list[Value]:
    """Return one of the quartiles of the prices on each side."""
    found = [group.side(side).prices for side in view.sides]
    return [pick(prices) if isinstance(prices, Prices) else None for prices in found]


def median(group: Group, view: View) -> list[Value]:
    """Return the median price on each side."""
    return quartile(group, view, lambda prices: prices.median)


def median_days(group: Group, view: View) -> list[Value]:
    """Return the median of the days to sell on each side."""
    found = [group.side(side).speed for side in view.sides]
    return [speed.median_days if isinstance(speed, Speed) else None for speed in found]


def within(group: Group, view: View, days: int) -> list[Value]:
    """Return the percentage that is sold within a number of days, on each side."""
    found = [group.side(side).speed for side in view.sides]
    return [speed.within[days] if isinstance(speed, Speed) else None for speed in found]


def why_withheld(group: Group, view: View, what: Collection[str]) -> str:
    """Return why figures of the others are missing in a row, or "". ``what`` is of ``prices`` and ``speed``."""
    found = group.side(OTHERS)
    names = {"prices": "prices", "speed": "days to sell"}
    reasons = {name: reason for name in what if isinstance(reason := getattr(found, name), Reason)}
    if len(set(reasons.values())) == 1 and len(reasons) == len(what):
        return view.rules.explained(next(iter(reasons.values())))
    return "; ".join(f"{names[name]}: {view.rules.explained(reason)}" for name, reason in reasons.items())


def withheld_in_words(groups: Sequence[Group], view: View, what: str, names: tuple[str, str]) -> Iterator[str]:
    """Say how many groups are withheld, and why. ``what`` is ``prices`` or ``speed``."""
    reasons = [getattr(group.side(OTHERS), what) for group in groups]
    for reason in (Reason.FEW_TENANTS, Reason.FEW_SALES, Reason.DOMINATED):
        number = reasons.count(reason)
        unnamed = sum(not group.is_named for group in groups) if reason is Reason.FEW_TENANTS else 0
        if number:
            hidden = f" ({unnamed} of them left out of the table)" if unnamed else ""
            yield f"{number} of {len(groups)} {names[len(groups) > 1]}{hidden}: {view.rules.explained(reason)}"


def _shown(sales_of_side: str | Reason) -> Value:
    return None if isinstance(sales_of_side, Reason) else sales_of_side
