"""Defects of generated events: the event bus accepts the JSON, and the function must reject the event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Detail = dict[str, Any]


@dataclass(frozen=True)
class Defect:
    """A violation of the contract. ``apply`` takes a valid detail and the event's number, and returns a defective one.

    ``contradicts``: the detail must be of a sale that was sent before; the event then reports other facts about it.
    """

    name: str
    apply: Callable[[Detail, int], Detail]
    contradicts: bool = False


REQUIRED: Final = ("tenantId", "productId", "category", "brand", "listedPrice", "salePrice", "soldDate")
# Together with the other attributes more than 400 KB, the maximum size of a DynamoDB item.
TOO_LONG_FOR_AN_ITEM: Final = 420_000


def _missing_field(detail: Detail, number: int) -> Detail:
    missing = REQUIRED[number % len(REQUIRED)]
    return {name: value for name, value in detail.items() if name != missing}


def _conflicting_duplicate(detail: Detail, number: int) -> Detail:
    # The number makes every contradiction different, so that no two are duplicates of each other.
    return detail | {"salePrice": round(detail["salePrice"] + 1 + number / 100, 2)}


def _wrong_type(detail: Detail, number: int) -> Detail:
    changes: tuple[Detail, ...] = (
        {"salePrice": str(detail["salePrice"])},
        {"listedPrice": True},
        {"brand": 7},
        {"daysToSell": 1.5},
        {"soldDate": 20251230},
    )
    return detail | changes[number % len(changes)]


def _item_too_large(detail: Detail, number: int) -> Detail:
    return detail | {"imageS3Key": f"s3://carousel-images/{number}/" + "x" * TOO_LONG_FOR_AN_ITEM}


def _sold_date_out_of_range(detail: Detail, number: int) -> Detail:
    dates = ("1999-12-31", "2199-01-01", "2025-02-30")
    return detail | {"soldDate": dates[number % len(dates)]}


def _hash_in_an_id(detail: Detail, number: int) -> Detail:
    name = ("productId", "tenantId")[number % 2]
    return detail | {name: f"{detail[name]}#1"}


DEFECTS: Final[tuple[Defect, ...]] = (
    Defect("missing field", _missing_field),
    Defect("conflicting duplicate", _conflicting_duplicate, contradicts=True),
    Defect("negative price", lambda detail, _: detail | {"salePrice": -detail["salePrice"] - 0.01}),
    Defect("item too large", _item_too_large),
    Defect("wrong type", _wrong_type),
    Defect("sold date out of range", _sold_date_out_of_range),
    Defect("'#' in an id", _hash_in_an_id),
    Defect("empty embedding", lambda detail, _: detail | {"embedding": []}),
    Defect("control character in an id", lambda detail, _: detail | {"productId": detail["productId"] + "\u0007"}),
    Defect("five decimals in a price", lambda detail, _: detail | {"listedPrice": 450.12345}),
    Defect("embedding too long", lambda detail, _: detail | {"embedding": [0.1] * 5_000}),
    Defect("text in an embedding", lambda detail, _: detail | {"embedding": [0.1, "0.2"]}),
    Defect("description too long", lambda detail, _: detail | {"description": "long " * 2_001}),
    Defect("days to sell out of range", lambda detail, _: detail | {"daysToSell": -1}),
)
"""Generated events have these in turn. The first four lead to three different reason codes."""
