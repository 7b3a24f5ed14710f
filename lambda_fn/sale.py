"""A sale: its identity, what is derived from its fields, and the hash of its facts.

:mod:`lambda_fn.fields` declares the fields. Nothing here depends on the format of an event, or on where a sale is
stored.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

from lambda_fn.fields import FACTS, SaleFields, Vector

EVENT_TYPE: Final = "carousel.product.sold"
SOURCE_SYSTEM: Final = "carousel"
EMBEDDING_SHARDS: Final = 5
PROJECTION_YEARS: Final = 2


class SaleKey(NamedTuple):
    """The identity of a sale: two events with the same key report the same sale."""

    tenant_id: str
    sale_id: str


def derived_sale_id(tenant_id: str, product_id: str, sold_date: date) -> str:
    """Return the id of a sale whose event has no ``saleId``. The same event always gets the same id.

    The id is ``SALE-{epoch milliseconds of the sold date, 00:00 UTC}-{8 hexadecimal digits of a hash}``. The ids do not
    contain ``#``, so the hashed text is unambiguous.
    """
    midnight = datetime(sold_date.year, sold_date.month, sold_date.day, tzinfo=UTC)
    digest = hashlib.sha256(f"{tenant_id}#{product_id}#{sold_date.isoformat()}".encode()).hexdigest()
    return f"SALE-{int(midnight.timestamp()) * 1000}-{digest[:8]}"


class Sale(SaleFields):
    """One sale. Text is Unicode without lone surrogates, prices are exact, and the embedding has 32-bit floats.

    ``recorded_at`` is the time of the event that reported the sale. It is not a fact of the sale: two events about one
    sale may have different times.
    """

    @property
    def key(self) -> SaleKey:
        """The sale's identity."""
        return SaleKey(self.tenant_id, self.sale_id)

    @property
    def year(self) -> int:
        """Year of the sold date. Part of the partition."""
        return self.sold_date.year

    @property
    def month(self) -> int:
        """Month of the sold date, 1 to 12. Part of the partition."""
        return self.sold_date.month

    @property
    def quarter(self) -> str:
        """Calendar quarter of the sold date, ``Q1`` to ``Q4``."""
        return f"Q{(self.sold_date.month + 2) // 3}"

    @property
    def season(self) -> str:
        """The calendar quarter: sales planning calls it the season."""
        return self.quarter

    @property
    def discount_percent(self) -> float | None:
        """Discount from the listed price. Negative when sold above it, None when the listed price is 0."""
        if not self.listed_price:
            return None
        return float((self.listed_price - self.sold_price) / self.listed_price * 100)

    @property
    def embedding_dimension(self) -> int | None:
        """Number of values in the embedding, None without one."""
        return None if self.embedding is None else len(self.embedding)

    @property
    def embedding_shard(self) -> int:
        """Shard of the embedding index, 0 to 4. The hash behind it is the same in every process."""
        return zlib.crc32((self.embedding_id or self.product_id).encode()) % EMBEDDING_SHARDS

    @property
    def source_system(self) -> str:
        """The system that sold the product."""
        return SOURCE_SYSTEM

    @property
    def projection_expires_at(self) -> int:
        """Epoch seconds at 00:00 UTC two calendar years after the sale. For 29 February, that is 1 March."""
        year = self.sold_date.year + PROJECTION_YEARS
        leap_day = (self.sold_date.month, self.sold_date.day) == (2, 29)
        month, day = (3, 1) if leap_day else (self.sold_date.month, self.sold_date.day)
        return int(datetime(year, month, day, tzinfo=UTC).timestamp())

    @cached_property
    def payload_hash(self) -> str:
        """SHA-256 over the facts. Two events about one sale conflict when their hashes differ.

        Absent facts are left out, so that an event keeps its hash when a later version adds an optional fact.
        """
        facts = {
            name: canonical(value)
            for name, attribute, canonical in _HASHED_AS_JSON
            if (value := getattr(self, attribute)) is not None
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())
        for name, attribute in _HASHED_AS_BYTES:
            vector: Vector | None = getattr(self, attribute)
            if vector is not None:
                digest.update(name)
                digest.update(_little_endian(vector))
        return digest.hexdigest()


def canonical_price(price: Decimal) -> str:
    """Return the same text for equal amounts, such as 450, 450.0 and 4.5E+2."""
    return f"{price:.4f}"


def _little_endian(values: Vector) -> bytes:
    if _NATIVE_IS_LITTLE_ENDIAN:
        return values.tobytes()
    swapped = array("f", values)
    swapped.byteswap()
    return swapped.tobytes()


_NATIVE_IS_LITTLE_ENDIAN: Final = array("H", [1]).tobytes() == b"\x01\x00"

_CANONICAL: Final[dict[type[Any], Callable[[Any], str | int]]] = {
    str: str,
    int: int,
    Decimal: canonical_price,
    date: date.isoformat,
}
_HASHED_AS_JSON: Final = tuple(
    (field.event_name, field.attribute, _CANONICAL[field.type]) for field in FACTS if field.type is not array
)
_HASHED_AS_BYTES: Final = tuple(
    (str(field.event_name).encode(), field.attribute) for field in FACTS if field.type is array
)
