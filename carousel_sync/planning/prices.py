"""List prices of the AWS services that the system uses, each with its source, its region and its date.

``prices.toml`` lists them, and says what they include and where they were looked up: check them on AWS's pricing pages
before you rely on them. ``carousel-sync cost --price NAME=USD`` replaces a price.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Any, Final

from lambda_fn.errors import ConfigurationError

YOURS: Final = "given with --price"


@dataclass(frozen=True)
class Price:
    """``usd`` for each ``per`` units. ``as_of`` is the date of the price list that it was taken from."""

    name: str
    usd: Decimal
    per: int
    unit: str
    source: str
    region: str
    as_of: date

    def of(self, quantity: float) -> float:
        """Return the cost of a number of units, in US dollars."""
        return float(self.usd) * quantity / self.per

    def as_json(self) -> dict[str, Any]:
        """Return the price for a JSON document."""
        return {**vars(self), "usd": float(self.usd), "as_of": self.as_of.isoformat()}


Prices = Mapping[str, Price]

_LISTED: Final = tomllib.loads((files(__package__) / "prices.toml").read_text(), parse_float=Decimal)
REGION: Final[str] = _LISTED["region"]
LOOKED_UP: Final[date] = _LISTED["looked_up"]
LIST_PRICES: Final[Prices] = {name: Price(name, **entry) for name, entry in _LISTED["prices"].items()}


def with_overrides(prices: Prices, overrides: Iterable[str], today: date) -> Prices:
    """Return the prices with some replaced, each given as ``name=dollars`` for the same units as in the list.

    Raises ConfigurationError for an unknown name or an invalid amount.
    """
    changed = dict(prices)
    for override in overrides:
        name, _, amount = override.partition("=")
        if name not in changed:
            raise ConfigurationError(f"--price {override}: there is no price {name!r}. Prices: {', '.join(changed)}.")
        try:
            usd = Decimal(amount)
        except InvalidOperation:
            usd = Decimal("NaN")
        if not usd.is_finite() or usd < 0:
            raise ConfigurationError(
                f"--price {override}: {amount!r} is not an amount in US dollars. Give the price of "
                f"{changed[name].per:,} {changed[name].unit}, such as --price {name}={changed[name].usd}"
            )
        changed[name] = replace(changed[name], usd=usd, source=YOURS, as_of=today)
    return changed


def of_other_regions(prices: Prices) -> list[Price]:
    """Return the prices of other regions, which stand in where none was found for :data:`REGION`."""
    return [price for price in prices.values() if price.region != REGION and price.source != YOURS]
