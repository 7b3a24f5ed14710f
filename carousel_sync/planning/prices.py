"""List prices of the AWS services that the system uses, each with its source, its region and its date.

They are on-demand prices of the first tier, without free allowances, discounts, tax or data transfer. They were looked
up on :data:`LOOKED_UP` in public copies of AWS's price list, not on AWS itself: check them before you rely on them.
``carousel-sync cost --price NAME=USD`` replaces a price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lambda_fn.errors import ConfigurationError

REGION: Final = "eu-west-1"
OTHER_REGION: Final = "us-east-1"
LOOKED_UP: Final = date(2026, 11, 22)
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

_LAMBDA: Final = "AWS Lambda pricing (Arm)"
_EVENTS: Final = "Amazon EventBridge pricing"
_SQS: Final = "Amazon SQS pricing (standard queues)"
_DYNAMODB: Final = "Amazon DynamoDB pricing for on-demand capacity"
_S3: Final = "Amazon S3 pricing (Tables)"
_CLOUDWATCH: Final = "Amazon CloudWatch pricing"

_MILLION: Final = 1_000_000
_LIST: Final = (
    ("lambda_request", "0.20", _MILLION, "requests", _LAMBDA, REGION, date(2026, 10, 1)),
    ("lambda_gb_second", "13.3334", _MILLION, "GB-seconds", _LAMBDA, REGION, date(2026, 10, 1)),
    ("eventbridge_event", "1.00", _MILLION, "custom events of up to 64 KB", _EVENTS, OTHER_REGION, date(2026, 3, 13)),
    ("sqs_request", "0.40", _MILLION, "requests of up to 64 KB", _SQS, REGION, date(2026, 9, 11)),
    ("dynamodb_write", "0.705", _MILLION, "write request units", _DYNAMODB, REGION, date(2026, 9, 11)),
    ("dynamodb_read", "0.1415", _MILLION, "read request units", _DYNAMODB, REGION, date(2026, 9, 11)),
    ("dynamodb_storage", "0.283", 1, "GB-months", _DYNAMODB, REGION, date(2026, 9, 11)),
    ("dynamodb_pitr", "0.22", 1, "GB-months of continuous backup", _DYNAMODB, REGION, date(2026, 9, 11)),
    ("s3_tables_storage", "0.0265", 1, "GB-months", _S3, REGION, date(2026, 7, 2)),
    ("s3_tables_put", "0.005", 1000, "PUT requests", _S3, OTHER_REGION, date(2026, 6, 24)),
    ("s3_tables_get", "0.0004", 1000, "GET requests", _S3, OTHER_REGION, date(2026, 6, 24)),
    ("s3_tables_monitoring", "0.025", 1000, "objects a month", _S3, OTHER_REGION, date(2026, 6, 24)),
    ("s3_tables_compacted_object", "0.002", 1000, "objects", _S3, OTHER_REGION, date(2026, 6, 24)),
    ("s3_tables_compacted_gb", "0.005", 1, "GB", _S3, OTHER_REGION, date(2026, 6, 24)),
    ("logs_ingested", "0.57", 1, "GB", _CLOUDWATCH, REGION, date(2026, 9, 22)),
    ("logs_storage", "0.03", 1, "GB-months", _CLOUDWATCH, REGION, date(2026, 9, 22)),
    ("alarm", "0.10", 1, "alarm metrics a month", _CLOUDWATCH, REGION, date(2026, 9, 22)),
    ("metric", "0.30", 1, "custom metrics a month", _CLOUDWATCH, REGION, date(2026, 9, 22)),
)
LIST_PRICES: Final[Prices] = {
    name: Price(name, Decimal(usd), per, unit, source, region, as_of)
    for name, usd, per, unit, source, region, as_of in _LIST
}


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
            usd = Decimal(-1)
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
