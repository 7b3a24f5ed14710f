"""Builders of events and sales for tests: valid by default, with the changes that a test asks for."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from lambda_fn.event import parse_event, parse_message
from lambda_fn.fields import Vector
from lambda_fn.ports import Rejection
from lambda_fn.sale import Sale

ABSENT: Final = object()
"""As the value of a field: the event does not have the field."""

EVENT_TIME: Final = "2026-03-15T10:00:00Z"
FIRST_SEEN: Final = "2026-03-15T10:00:01.000Z"

_DETAIL: Final[Mapping[str, Any]] = {
    "tenantId": "tenant-1",
    "productId": "product-1",
    "saleId": "sale-1",
    "category": "handbags",
    "brand": "Louis Vuitton",
    "listedPrice": 500,
    "salePrice": 450.5,
    "soldDate": "2026-03-14",
}

_SALE: Final = Sale(
    tenant_id="tenant-1",
    product_id="product-1",
    sale_id="sale-1",
    category="handbags",
    brand="Louis Vuitton",
    listed_price=Decimal("500.0000"),
    sold_price=Decimal("450.5000"),
    sold_date=date(2026, 3, 14),
    recorded_at=datetime(2026, 3, 15, 10, tzinfo=UTC),
)


def event(**detail_changes: object) -> dict[str, Any]:
    """Return an EventBridge event of a valid sale with the required fields and a saleId, and with these changes.

    Changes have the names of the event's fields (``salePrice=1``); ``ABSENT`` leaves a field out. To change the
    envelope, write ``event() | {"time": ...}``.
    """
    detail = {name: value for name, value in {**_DETAIL, **detail_changes}.items() if value is not ABSENT}
    return {
        "version": "0",
        "id": "5f4e3d2c-0000-4000-8000-000000000001",
        "detail-type": "carousel.product.sold",
        "source": "carousel.products",
        "account": "000000000000",
        "time": EVENT_TIME,
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }


def body(**detail_changes: object) -> str:
    """Return an event as the body of a queue message."""
    return json.dumps(event(**detail_changes))


def sale(**changes: Any) -> Sale:
    """Return the sale of ``event()``, with these changes."""
    return replace(_SALE, **changes)


def embedding(dimension: int = 1024, seed: int = 1) -> Vector:
    """Return a vector of about length 1 that depends on the seed. All its numbers differ."""
    return array("f", [math.sin(seed * 7919 + 1.618 * n) * math.sqrt(2 / dimension) for n in range(dimension)])


def read(document: object) -> Sale | Rejection:
    """Parse a directly delivered event."""
    return parse_event("direct", document, json.dumps(document), FIRST_SEEN).content


def read_text(text: str) -> Sale | Rejection:
    """Parse the body of a queue message."""
    return parse_message("message-1", text, FIRST_SEEN).content
