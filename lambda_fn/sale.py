"""A sale: the business fact, its identity, and everything that is derived from it.

Nothing here knows how an event looks, or where a sale is stored.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

EVENT_TYPE: Final = "carousel.product.sold"
SOURCE_SYSTEM: Final = "carousel"
EMBEDDING_SHARDS: Final = 5
PROJECTION_YEARS: Final = 2


if TYPE_CHECKING:
    Vector = array[float]
else:
    Vector = array  # the standard library's array can be subscripted from Python 3.12 on only


class SaleKey(NamedTuple):
    """What makes two events the same sale."""

    tenant_id: str
    sale_id: str


def derived_sale_id(tenant_id: str, product_id: str, sold_date: date) -> str:
    """Return the identity of a sale that its producer gave none: deterministic, so that a retry is the same sale.

    ``SALE-{epoch milliseconds of the sold date, 00:00 UTC}-{8 hexadecimal digits of a hash}``. The ids hold no ``#``,
    which makes the hashed text unambiguous.
    """
    midnight = datetime(sold_date.year, sold_date.month, sold_date.day, tzinfo=UTC)
    digest = hashlib.sha256(f"{tenant_id}#{product_id}#{sold_date.isoformat()}".encode()).hexdigest()
    return f"SALE-{int(midnight.timestamp()) * 1000}-{digest[:8]}"


@dataclass(frozen=True, kw_only=True)
class Sale:
    """One sale. Text is Unicode without lone surrogates; prices are exact; the embedding is 32-bit floats.

    ``recorded_at`` is the time of the event that reported it. It is no fact of the sale: two events about one sale
    may differ in it.
    """

    tenant_id: str
    product_id: str
    sale_id: str
    category: str
    brand: str
    listed_price: Decimal
    sold_price: Decimal
    sold_date: date
    recorded_at: datetime
    condition: str | None = None
    description: str | None = None
    vendor_id: str | None = None
    image_s3_key: str | None = None
    embedding_id: str | None = None
    days_to_sell: int | None = None
    embedding: Vector | None = None
    currency: str | None = None

    @property
    def key(self) -> SaleKey:
        """The sale's identity."""
        return SaleKey(self.tenant_id, self.sale_id)

    @property
    def year(self) -> int:
        """Partition value."""
        return self.sold_date.year

    @property
    def month(self) -> int:
        """Partition value, 1..12."""
        return self.sold_date.month

    @property
    def quarter(self) -> str:
        """Calendar quarter of the sold date, ``Q1``..``Q4``."""
        return f"Q{(self.sold_date.month + 2) // 3}"

    @property
    def season(self) -> str:
        """The same as the quarter: that is how sales planning uses the word here."""
        return self.quarter

    @property
    def discount_percent(self) -> float | None:
        """How far below the listed price it sold: negative when above, None when the listed price is 0."""
        if not self.listed_price:
            return None
        return float((self.listed_price - self.sold_price) / self.listed_price * 100)

    @property
    def embedding_shard(self) -> int:
        """Shard 0..4 of the embedding index, from a hash that is the same in every process."""
        return zlib.crc32((self.embedding_id or self.product_id).encode()) % EMBEDDING_SHARDS

    @property
    def projection_expires_at(self) -> int:
        """Epoch seconds at 00:00 UTC two calendar years after the sale; 29 February becomes 1 March."""
        year = self.sold_date.year + PROJECTION_YEARS
        leap_day = (self.sold_date.month, self.sold_date.day) == (2, 29)
        month, day = (3, 1) if leap_day else (self.sold_date.month, self.sold_date.day)
        return int(datetime(year, month, day, tzinfo=UTC).timestamp())

    @cached_property
    def payload_hash(self) -> str:
        """SHA-256 over the sale's facts, so that the same sale with different facts is noticed.

        Absent facts are left out, which keeps the hash of an event stable when a later version learns a new optional
        fact. ``recorded_at`` belongs to the envelope and is left out too.
        """
        facts: dict[str, str | int] = {
            "tenantId": self.tenant_id,
            "productId": self.product_id,
            "saleId": self.sale_id,
            "category": self.category,
            "brand": self.brand,
            "listedPrice": canonical_price(self.listed_price),
            "salePrice": canonical_price(self.sold_price),
            "soldDate": self.sold_date.isoformat(),
        }
        optional: dict[str, str | int | None] = {
            "condition": self.condition,
            "description": self.description,
            "vendorId": self.vendor_id,
            "imageS3Key": self.image_s3_key,
            "embeddingId": self.embedding_id,
            "daysToSell": self.days_to_sell,
            "currency": self.currency,
        }
        facts.update({name: value for name, value in optional.items() if value is not None})
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())
        if self.embedding is not None:
            digest.update(b"embedding")
            digest.update(_little_endian(self.embedding))
        return digest.hexdigest()


def canonical_price(price: Decimal) -> str:
    """Return one spelling for each amount: 450, 450.0 and 4.5E+2 are the same price."""
    return f"{price:.4f}"


def _little_endian(values: Vector) -> bytes:
    if _NATIVE_IS_LITTLE_ENDIAN:
        return values.tobytes()
    swapped = array("f", values)
    swapped.byteswap()
    return swapped.tobytes()


_NATIVE_IS_LITTLE_ENDIAN: Final = array("H", [1]).tobytes() == b"\x01\x00"
