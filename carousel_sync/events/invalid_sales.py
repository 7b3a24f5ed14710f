"""Ways in which an event breaks the contract: JSON that the event bus takes, and that the function must reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Detail = dict[str, Any]


@dataclass(frozen=True)
class InvalidKind:
    """A rule and how to break it: ``spoil`` gets a valid detail and the event's number, and returns another detail.

    ``contradicts``: the detail is a sale that was sent before, and the event tells other facts about it.
    """

    name: str
    spoil: Callable[[Detail, int], Detail]
    contradicts: bool = False


REQUIRED: Final = ("tenantId", "productId", "category", "brand", "listedPrice", "salePrice", "soldDate")
# With the other attributes more than the 400 KB that DynamoDB takes for an item.
TOO_LONG_FOR_AN_ITEM: Final = 420_000


def _missing_field(detail: Detail, number: int) -> Detail:
    without = REQUIRED[number % len(REQUIRED)]
    return {name: value for name, value in detail.items() if name != without}


def _conflicting_duplicate(detail: Detail, number: int) -> Detail:
    # The number makes each contradiction another one, so that two of them are no duplicates of each other.
    return detail | {"salePrice": round(detail["salePrice"] + 1 + number / 100, 2)}


def _wrong_type(detail: Detail, number: int) -> Detail:
    wrong: tuple[Detail, ...] = (
        {"salePrice": str(detail["salePrice"])},
        {"listedPrice": True},
        {"brand": 7},
        {"daysToSell": 1.5},
        {"soldDate": 20251230},
    )
    return detail | wrong[number % len(wrong)]


def _item_too_large(detail: Detail, number: int) -> Detail:
    return detail | {"imageS3Key": f"s3://carousel-images/{number}/" + "x" * TOO_LONG_FOR_AN_ITEM}


def _sold_date_out_of_range(detail: Detail, number: int) -> Detail:
    dates = ("1999-12-31", "2199-01-01", "2025-02-30")
    return detail | {"soldDate": dates[number % len(dates)]}


def _hash_in_an_id(detail: Detail, number: int) -> Detail:
    name = ("productId", "tenantId")[number % 2]
    return detail | {name: f"{detail[name]}#1"}


INVALID_KINDS: Final[tuple[InvalidKind, ...]] = (
    InvalidKind("missing field", _missing_field),
    InvalidKind("conflicting duplicate", _conflicting_duplicate, contradicts=True),
    InvalidKind("negative price", lambda detail, _: detail | {"salePrice": -detail["salePrice"] - 0.01}),
    InvalidKind("item too large", _item_too_large),
    InvalidKind("wrong type", _wrong_type),
    InvalidKind("sold date out of range", _sold_date_out_of_range),
    InvalidKind("'#' in an id", _hash_in_an_id),
    InvalidKind("empty embedding", lambda detail, _: detail | {"embedding": []}),
    InvalidKind("control character in an id", lambda detail, _: detail | {"productId": detail["productId"] + "\u0007"}),
    InvalidKind("five decimals in a price", lambda detail, _: detail | {"listedPrice": 450.12345}),
    InvalidKind("embedding too long", lambda detail, _: detail | {"embedding": [0.1] * 5_000}),
    InvalidKind("text in an embedding", lambda detail, _: detail | {"embedding": [0.1, "0.2"]}),
    InvalidKind("description too long", lambda detail, _: detail | {"description": "long " * 2_001}),
    InvalidKind("days to sell out of range", lambda detail, _: detail | {"daysToSell": -1}),
)
"""In the order in which they take turns: the first four give three different reason codes."""
