"""Hypothesis strategies for sales and for the events that report them."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from lambda_fn.fields import FACTS, Vector
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


# By attribute of Sale. A fact that is not listed is an optional text without a rule of its own.
_FACTS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "tenant_id": key_parts,
    "product_id": key_parts,
    "sale_id": key_parts,
    "category": labels,
    "brand": labels,
    "listed_price": prices,
    "sold_price": prices,
    "sold_date": sold_dates,
    "days_to_sell": st.none() | st.integers(0, 36_500),
    "embedding": st.none() | vectors,
    "currency": st.none() | currencies,
}


@st.composite
def sales(draw: st.DrawFn) -> Sale:
    """Generate any sale that an event can report."""
    facts = {fact.attribute: draw(_FACTS.get(fact.attribute, st.none() | texts)) for fact in FACTS}
    sold_date = facts["sold_date"]
    recorded_at = draw(st.datetimes(datetime(sold_date.year, sold_date.month, sold_date.day)))  # noqa: DTZ001
    return Sale(recorded_at=recorded_at.replace(tzinfo=UTC), **facts)


def event_text(sale: Sale, listed: str | None = None, sold: str | None = None, *, ascii_only: bool = True) -> str:
    """Return the text of the event that reports a sale. ``listed`` and ``sold`` replace the text of its prices."""
    values = {str(fact.event_name): getattr(sale, fact.attribute) for fact in FACTS if fact.type is not Decimal}
    values["soldDate"] = sale.sold_date.isoformat()
    values["embedding"] = None if sale.embedding is None else list(sale.embedding)
    envelope = {
        "detail-type": "carousel.product.sold",
        "source": "carousel.products",
        "time": sale.recorded_at.isoformat(),
    }
    detail = json.dumps(values, ensure_ascii=ascii_only)[1:]
    listed, sold = listed or str(sale.listed_price), sold or str(sale.sold_price)
    return f'{json.dumps(envelope)[:-1]}, "detail": {{"listedPrice": {listed}, "salePrice": {sold}, {detail}}}'
