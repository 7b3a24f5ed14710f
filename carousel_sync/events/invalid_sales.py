"""Defects of generated events: the event bus accepts the JSON, and the function must reject the event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

Detail = dict[str, Any]


class Defect(NamedTuple):
    """A violation of the contract. ``changes`` takes a valid detail and the event's number, and returns new values.

    A field whose new value is None is left out. ``contradicts``: the detail must be of a sale that was sent before; the
    event then reports other facts about it.
    """

    name: str
    changes: Callable[[Detail, int], Detail]
    contradicts: bool = False


REQUIRED: Final = ("tenantId", "productId", "category", "brand", "listedPrice", "salePrice", "soldDate")
SOLD_DATES: Final = ("1999-12-31", "2199-01-01", "2025-02-30")
WRONG_TYPES: Final = ({"listedPrice": True}, {"brand": 7}, {"daysToSell": 1.5}, {"soldDate": 20251230})
# Together with the other attributes more than 400 KB, the maximum size of a DynamoDB item.
TOO_LONG_FOR_AN_ITEM: Final = "x" * 420_000


def _contradiction(detail: Detail, number: int) -> Detail:
    # The number makes every contradiction different, so that no two are duplicates of each other.
    return {"salePrice": round(detail["salePrice"] + 1 + number / 100, 2)}


def _wrong_type(detail: Detail, number: int) -> Detail:
    return ({"salePrice": str(detail["salePrice"])}, *WRONG_TYPES)[number % (1 + len(WRONG_TYPES))]


def _hash_in_an_id(detail: Detail, number: int) -> Detail:
    name = ("productId", "tenantId")[number % 2]
    return {name: f"{detail[name]}#1"}


DEFECTS: Final = (
    Defect("missing field", lambda _, number: {REQUIRED[number % len(REQUIRED)]: None}),
    Defect("conflicting duplicate", _contradiction, contradicts=True),
    Defect("negative price", lambda detail, _: {"salePrice": -detail["salePrice"] - 0.01}),
    Defect(
        "item too large", lambda _, number: {"imageS3Key": f"s3://carousel-images/{number}/" + TOO_LONG_FOR_AN_ITEM}
    ),
    Defect("wrong type", _wrong_type),
    Defect("sold date out of range", lambda _, number: {"soldDate": SOLD_DATES[number % len(SOLD_DATES)]}),
    Defect("'#' in an id", _hash_in_an_id),
    Defect("empty embedding", lambda *_: {"embedding": []}),
    Defect("control character in an id", lambda detail, _: {"productId": detail["productId"] + "\u0007"}),
    Defect("five decimals in a price", lambda *_: {"listedPrice": 450.12345}),
    Defect("embedding too long", lambda *_: {"embedding": [0.1] * 5_000}),
    Defect("text in an embedding", lambda *_: {"embedding": [0.1, "0.2"]}),
    Defect("description too long", lambda *_: {"description": "long " * 2_001}),
    Defect("days to sell out of range", lambda *_: {"daysToSell": -1}),
)
"""Generated events have these in turn. The first four lead to three different reason codes."""
