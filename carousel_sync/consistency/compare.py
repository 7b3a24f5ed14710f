"""Compares what the three stores hold, sale by sale: the table's rows, the projection's items, the guard's claims.

Nothing here reads a store. Of each sale only its name and a digest of its facts are kept, so that a million sales are a
few hundred megabytes, embeddings or not.

A sale's writer makes its claim, its row, its item, and then completes the claim. Who reads the rows, then the claims
and then the items while writers run finds no item missing that is not on its way: its claim is open. A row that landed
after the rows were read has to be looked for once more, see :meth:`Report.without`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.guard.items import Status
from lambda_fn.projection.item import item_of, plain_number, vector_of_json
from lambda_fn.sale import Sale, SaleKey, Vector

DIGEST_BYTES: Final = 16
# Of other lengths than a digest, and different: neither agrees with anything.
_BAD_ROW: Final = b"bad row"
_BAD_ITEM: Final = b"bad item"

# Two events about one sale may tell it at different times.
_NO_FACTS: Final = frozenset({"recordCreatedAt"})
_EMBEDDING: Final = "embedding"


class StoredSale(NamedTuple):
    """A sale as one store holds it.

    ``expires_at`` is when its item may go, in epoch seconds; ``item_key`` is that of the item that it was read from.
    """

    key: SaleKey
    digest: bytes
    expires_at: int = 0
    item_key: ItemKey | None = None


class StoredClaim(NamedTuple):
    """A claim of the guard. ``released``: it was looked at, its sale has not landed, and any delivery may have it."""

    key: SaleKey
    completed: bool
    released: bool = False


@dataclass(frozen=True)
class Report:
    """How the stores agree. Sales are named ``tenant/saleId``, in order.

    A released claim is no disagreement: it says that a sale was begun and never stored, and stands in nobody's way.
    """

    sales: int
    rows: int
    items: int
    missing_rows: list[str]
    doubled_rows: list[str]
    missing_items: list[str]
    divergent: list[str]
    open_claims: list[str]
    released_claims: list[str]
    findings: Findings = field(repr=False, compare=False)

    @property
    def consistent(self) -> bool:
        """Whether every sale is settled: one row, one item with the same facts, no open claim."""
        return not any((self.missing_rows, self.doubled_rows, self.missing_items, self.divergent, self.open_claims))

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        listed = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "findings"}
        return {**listed, "consistent": self.consistent}

    def without(self, landed: Collection[str]) -> Report:
        """Return the report without missing rows that were found after all (by :func:`name_of`)."""
        missing = self.findings.without_row - set(landed)
        findings = replace(self.findings, without_row=missing)
        return replace(self, missing_rows=_for_people(missing), findings=findings)


@dataclass(frozen=True)
class Findings:
    """The sales that the report lists, by :func:`name_of`. ``divergent`` has the keys of the items that differ."""

    without_row: frozenset[str]
    doubled: frozenset[str]
    without_item: frozenset[str]
    divergent: Mapping[str, Sequence[ItemKey]]
    open: frozenset[str]


def compare(
    rows: Iterable[StoredSale], items: Iterable[StoredSale], claims: Iterable[StoredClaim], now: float
) -> Report:
    """Read rows, then claims, then items to their ends, and report how they agree at ``now`` (epoch seconds)."""
    comparison = _Comparison(now)
    for row in rows:
        comparison.add_row(row)
    for claim in claims:
        comparison.add_claim(claim)
    for item in items:
        comparison.add_item(item)
    return comparison.report()


class _Comparison:
    def __init__(self, now: float) -> None:
        self._now = now
        self._rows = 0
        self._items = 0
        # Digests of the rows that no item was met for yet; None once one was.
        self._digests: dict[str, bytes | None] = {}
        self._expired: set[str] = set()
        self._without_row: set[str] = set()
        self._doubled: set[str] = set()
        self._divergent: dict[str, list[ItemKey]] = {}
        self._open: set[str] = set()
        self._released: set[str] = set()

    def add_row(self, row: StoredSale) -> None:
        self._rows += 1
        name = name_of(row.key)
        if name in self._digests:
            self._doubled.add(name)
            return
        self._digests[name] = row.digest
        if row.expires_at <= self._now:
            self._expired.add(name)

    def add_item(self, item: StoredSale) -> None:
        self._items += 1
        name = name_of(item.key)
        if name not in self._digests:
            self._without_row.add(name)
        elif self._digests[name] != item.digest:
            # Also a second item of a sale: it differs in the product or the date, which are its key.
            self._divergent.setdefault(name, []).extend([item.item_key] if item.item_key else [])
        if name in self._digests:
            self._digests[name] = None

    def add_claim(self, claim: StoredClaim) -> None:
        name = name_of(claim.key)
        if claim.completed:
            if name not in self._digests:
                self._without_row.add(name)
        elif claim.released and name not in self._digests:
            self._released.add(name)
        else:
            self._open.add(name)

    def report(self) -> Report:
        without_item = {name for name, digest in self._digests.items() if digest is not None} - self._expired
        findings = Findings(
            without_row=frozenset(self._without_row),
            doubled=frozenset(self._doubled),
            without_item=frozenset(without_item),
            divergent=self._divergent,
            open=frozenset(self._open),
        )
        return Report(
            sales=len(self._digests) + len((self._without_row | self._open) - self._digests.keys()),
            rows=self._rows,
            items=self._items,
            missing_rows=_for_people(self._without_row),
            doubled_rows=_for_people(self._doubled),
            missing_items=_for_people(without_item),
            divergent=_for_people(self._divergent),
            open_claims=_for_people(self._open),
            released_claims=_for_people(self._released),
            findings=findings,
        )


def name_of(key: SaleKey) -> str:
    """Return one text for each sale. Ids hold no '#', so this tells any two sales apart; a slash would not."""
    return f"{key.tenant_id}#{key.sale_id}"


def key_of(name: str) -> SaleKey:
    """Return the sale that :func:`name_of` gave the name."""
    tenant_id, _, sale_id = name.partition("#")
    return SaleKey(tenant_id, sale_id)


def for_people(name: str) -> str:
    """Return the name as people read it."""
    return name.replace("#", "/", 1)


def _for_people(names: Iterable[str]) -> list[str]:
    return sorted(map(for_people, names))


# --- digests ---------------------------------------------------------------------------------------------------------


def sale_of_row(sale: Sale, derived_well: bool = True) -> StoredSale:
    """Digest a row by the item that it ought to have; a row whose derived columns are wrong agrees with no item."""
    digest = digest_of_item(item_of(sale)) if derived_well else _BAD_ROW
    return StoredSale(sale.key, digest, sale.projection_expires_at)


def sale_of_item(item: Item) -> StoredSale:
    """Digest an item of the projection. One that lacks its ids is named by its key, and agrees with no row."""
    item_key = ItemKey(*(str(item.get(name, {}).get("S")) for name in ("PK", "SK")))
    texts = [item.get(name, {}).get("S") for name in ("tenantId", "saleId")]
    if None in texts:
        return StoredSale(SaleKey(*item_key), _BAD_ITEM, item_key=item_key)
    return StoredSale(SaleKey(*texts), digest_of_item(item), item_key=item_key)


def claim_of_item(item: Item) -> StoredClaim:
    """Read an item of the guard."""
    completed = item["status"]["S"] == Status.COMPLETED.value
    released = not completed and not float(item.get("leaseUntil", {"N": "1"})["N"])
    return StoredClaim(SaleKey(item["tenantId"]["S"], item["eventId"]["S"]), completed, released)


def digest_of_item(item: Item) -> bytes:
    """Return a digest of everything that an item tells of its sale, keys included.

    Numbers count by their value and the embedding as 32-bit floats, however they are spelled. Attributes that the
    function does not write are left out.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(item.keys() & FACTS):
        kind, value = next(iter(item[name].items()))
        content = _canonical(name, kind, value)
        digest.update(f"{name}:{kind}:{len(content)}:".encode())
        digest.update(content)
    return digest.digest()


def _canonical(name: str, kind: str, value: Any) -> bytes:
    try:
        if name == _EMBEDDING:
            return vector_of_json("".join(value.split())).tobytes()
        if kind == "N":
            return plain_number(Decimal(value)).encode()
    except (ValueError, TypeError, AttributeError, InvalidOperation):
        pass
    return str(value).encode()


_EVERY_FACT: Final = Sale(
    tenant_id="t",
    product_id="p",
    sale_id="s",
    category="c",
    brand="b",
    listed_price=Decimal(1),
    sold_price=Decimal(1),
    sold_date=date(2000, 1, 1),
    recorded_at=datetime(2000, 1, 1, tzinfo=UTC),
    condition="c",
    description="d",
    vendor_id="v",
    image_s3_key="i",
    embedding_id="e",
    days_to_sell=1,
    embedding=Vector("f", [1.0]),
    currency="EUR",
)
FACTS: Final = frozenset(item_of(_EVERY_FACT)) - _NO_FACTS
"""The attributes of an item that tell of its sale, keys included; others may stand beside them."""
