"""Sales, and the events that report them, for hypothesis."""

from __future__ import annotations

import json
from array import array
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from lambda_fn.fields import Vector
from lambda_fn.sale import Sale

CHARACTERS: Final = st.characters(exclude_categories=["Cs"])
KEY_CHARACTERS: Final = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="#")

texts: Final = st.text(CHARACTERS, max_size=60)
labels: Final = st.text(CHARACTERS, min_size=1, max_size=256)
key_parts: Final = st.text(KEY_CHARACTERS, min_size=1, max_size=128)
prices: Final = st.decimals(0, Decimal("99999999999999.9999"), places=4)
float32s: Final = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors: Final[st.SearchStrategy[Vector]] = st.lists(float32s, min_size=1, max_size=30).map(lambda x: array("f", x))
currencies: Final = st.text("ABCXYZ", min_size=3, max_size=3)
sold_dates: Final = st.dates(date(2000, 1, 1), date(9997, 12, 31))


@st.composite
def sales(draw: st.DrawFn) -> Sale:
    """Any sale that an event can report."""
    sold_date = draw(sold_dates)
    recorded_at = draw(st.datetimes(datetime(sold_date.year, sold_date.month, sold_date.day)))  # noqa: DTZ001
    return Sale(
        tenant_id=draw(key_parts),
        product_id=draw(key_parts),
        sale_id=draw(key_parts),
        category=draw(labels),
        brand=draw(labels),
        listed_price=draw(prices),
        sold_price=draw(prices),
        sold_date=sold_date,
        recorded_at=recorded_at.replace(tzinfo=UTC),
        condition=draw(st.none() | texts),
        description=draw(st.none() | texts),
        vendor_id=draw(st.none() | texts),
        image_s3_key=draw(st.none() | texts),
        embedding_id=draw(st.none() | texts),
        days_to_sell=draw(st.none() | st.integers(0, 36_500)),
        embedding=draw(st.none() | vectors),
        currency=draw(st.none() | currencies),
    )


def event_text(sale: Sale, listed: str | None = None, sold: str | None = None, *, ascii_only: bool = True) -> str:
    """Return the text of the event that reports a sale, with its prices spelled exactly, or just as given."""
    facts: dict[str, Any] = {
        "tenantId": sale.tenant_id,
        "productId": sale.product_id,
        "saleId": sale.sale_id,
        "category": sale.category,
        "brand": sale.brand,
        "soldDate": sale.sold_date.isoformat(),
        "condition": sale.condition,
        "description": sale.description,
        "vendorId": sale.vendor_id,
        "imageS3Key": sale.image_s3_key,
        "embeddingId": sale.embedding_id,
        "daysToSell": sale.days_to_sell,
        "currency": sale.currency,
        "embedding": None if sale.embedding is None else list(sale.embedding),
    }
    envelope = {
        "detail-type": "carousel.product.sold",
        "source": "carousel.products",
        "time": sale.recorded_at.isoformat(),
    }
    detail = json.dumps(facts, ensure_ascii=ascii_only)[1:]
    listed, sold = listed or str(sale.listed_price), sold or str(sale.sold_price)
    return f'{json.dumps(envelope)[:-1]}, "detail": {{"listedPrice": {listed}, "salePrice": {sold}, {detail}}}'
