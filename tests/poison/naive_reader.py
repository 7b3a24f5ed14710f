"""A control: a typical careless reader of events, whose faults the corpus and the fuzzing must find."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from lambda_fn.ports import Delivery, Reason, Rejection
from lambda_fn.sale import Sale, derived_sale_id


def parse_message(delivery_id: str, body: str, first_seen: str) -> Delivery:
    """Read an event from its JSON text. A rejection repeats the text of the exception, with the invalid value."""
    try:
        document = json.loads(body)
    except ValueError as error:
        return Delivery(delivery_id, body, first_seen, Rejection(Reason.INVALID_JSON, str(error)))
    return parse_event(delivery_id, document, body, first_seen)


def parse_event(delivery_id: str, document: Any, body: str, first_seen: str) -> Delivery:
    """Read an event that is already decoded."""
    try:
        content: Sale | Rejection = _sale(document["detail"])
    except (KeyError, ValueError) as error:
        content = Rejection(Reason.INVALID_FIELD, str(error))
    return Delivery(delivery_id, body, first_seen, content)


def _sale(detail: Any) -> Sale:
    sold = date.fromisoformat(detail["soldDate"][:10])
    tenant, product = str(detail["tenantId"]), str(detail["productId"])
    return Sale(
        tenant_id=tenant,
        product_id=product,
        sale_id=str(detail.get("saleId") or derived_sale_id(tenant, product, sold)),
        category=str(detail["category"]),
        brand=str(detail["brand"]),
        listed_price=Decimal(str(float(detail["listedPrice"]))),
        sold_price=Decimal(str(float(detail["salePrice"]))),
        sold_date=sold,
        recorded_at=datetime(2026, 3, 15, tzinfo=UTC),
        description=detail.get("description"),
    )
