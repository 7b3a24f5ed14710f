"""A sale: its identity, what is derived from its fields, and the hash of its facts.

:mod:`lambda_fn.fields` declares the fields. Nothing here depends on the format of an event, or on where a sale is
stored.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

from lambda_fn.fields import BASE_FACTS, LATER_FACTS, Field, SaleFields, Vector

EVENT_TYPE: Final = "carousel.product.sold"
SOURCE_SYSTEM: Final = "carousel"
EMBEDDING_SHARDS: Final = 5
PROJECTION_YEARS: Final = 2

_BASE: Final = "base"
_ABSENT: Final = "absent"
_SHORT_DIGITS: Final = 16


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

    @property
    def payload_hash(self) -> str:
        """SHA-256 over the facts. Absent facts are left out, so that a new optional fact changes no earlier hash."""
        return self.facts.payload_hash

    @cached_property
    def facts(self) -> FactsDigest:
        """The digest of the facts that an event reports. This version of the code knows all of them."""
        return facts_digest(self, LATER_FACTS)

    @property
    def stored_facts(self) -> FactsDigest:
        """The digest of the facts that a store holds.

        A store does not show whether the writer knew an absent fact of a later version.
        """
        return facts_digest(self, [fact for fact in LATER_FACTS if getattr(self, fact.attribute) is not None])


@dataclass(frozen=True)
class FactsDigest:
    """A digest of the facts of a sale, and which facts it covers: versions of the code know different facts.

    ``payload_hash`` covers all facts that are present. ``groups`` has a digest of the base facts, and one of each later
    fact that is known, by its event name. It is empty if the version that wrote the digest did not record them.
    ``older_hashes`` are the payload hashes that versions without the latest facts compute for the same event.
    """

    payload_hash: str
    groups: Mapping[str, str] = field(default_factory=dict, hash=False)
    older_hashes: frozenset[str] = field(default=frozenset(), compare=False)

    def conflicts_with(self, other: FactsDigest) -> bool:
        """Return whether the two differ in a fact that both cover."""
        if self.groups and other.groups:
            return any(self.groups[name] != other.groups[name] for name in self.groups.keys() & other.groups.keys())
        return not {self.payload_hash, *self.older_hashes} & {other.payload_hash, *other.older_hashes}

    def merged_with(self, other: FactsDigest) -> FactsDigest:
        """Return the digest of all facts that one of the two covers. They must not conflict."""
        knows_more = self if self.groups.keys() >= other.groups.keys() else other
        return FactsDigest(knows_more.payload_hash, {**self.groups, **other.groups})


def facts_digest(sale: Sale, known: Sequence[Field]) -> FactsDigest:
    """Return the digest of a sale by a version of the code that knows the base facts and these later facts."""
    present = [fact for fact in known if getattr(sale, fact.attribute) is not None]
    hashes = [_hash(sale, [*BASE_FACTS, *present[:count]]) for count in range(len(present) + 1)]
    groups = {str(fact.event_name): _ABSENT for fact in known}
    groups |= {str(fact.event_name): _hash(sale, [fact])[:_SHORT_DIGITS] for fact in present}
    return FactsDigest(hashes[-1], {_BASE: hashes[0], **groups}, frozenset(hashes))


def _hash(sale: Sale, facts: Sequence[Field]) -> str:
    present = [(fact, value) for fact in facts if (value := getattr(sale, fact.attribute)) is not None]
    texts = {fact.event_name: _CANONICAL[fact.type](value) for fact, value in present if fact.type is not array}
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True, separators=(",", ":")).encode())
    for fact, value in present:
        if fact.type is array:
            digest.update(str(fact.event_name).encode())
            digest.update(_little_endian(value))
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
