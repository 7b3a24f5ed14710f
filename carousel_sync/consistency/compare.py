"""Compares the three stores sale by sale: the rows of the table, the items of the projection, the claims of the guard.

Nothing here reads a store. Only the name of each sale and a digest of its fields are kept, so that a million sales take
a few hundred megabytes, with or without embeddings.

The writer of a sale makes the claim, the row and the item, and then completes the claim. Read the rows first, then the
claims, then the items: while writers run, a sale whose item is still to come then has an open claim. A row that landed
after the rows were read must be added later, see :meth:`Report.with_landed`.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.fields import FIELDS, Role
from lambda_fn.guard.items import Status, read_item
from lambda_fn.projection.item import ITEM_ATTRIBUTES, item_of, plain_number, vector_of_json
from lambda_fn.sale import Sale, SaleKey

DIGEST_BYTES: Final = 16
# They differ from each other and, in length, from every digest: a bad row or item agrees with nothing.
_BAD_ROW: Final = b"bad row"
_BAD_ITEM: Final = b"bad item"

_VECTORS: Final = frozenset(field.item_attribute for field in FIELDS if field.type is array)

# Two events about one sale may have different envelopes.
COMPARED_ATTRIBUTES: Final = ITEM_ATTRIBUTES - {field.item_attribute for field in FIELDS if field.role is Role.ENVELOPE}
"""The attributes of an item that are compared with the row, keys included. An item may have others beside them."""


class StoredSale(NamedTuple):
    """A sale as one store holds it.

    ``expires_at``: when its item may expire, in epoch seconds. ``item_key``: the key of the item, for a sale that was
    read from one.
    """

    key: SaleKey
    digest: bytes
    expires_at: int = 0
    item_key: ItemKey | None = None


class StoredClaim(NamedTuple):
    """A claim of the guard. ``released``: its sale has not landed, and any delivery may take the claim over."""

    key: SaleKey
    completed: bool
    released: bool = False


@dataclass(frozen=True)
class Report:
    """How the stores agree. Each list is sorted and names sales as ``tenant/saleId``.

    ``sales`` counts every sale that has a row, an item, or a claim that was not released. ``rows`` and ``items`` count
    what was read.

    - ``missing_rows``: an item or a completed claim without a row.
    - ``doubled_rows``: more than one row.
    - ``missing_items``: a row without an item, although the item has not expired.
    - ``divergent``: an item that differs from its row, or a row whose derived columns are wrong.
    - ``open_claims``: a claim that is not completed.
    - ``released_claims``: a sale that was started and never stored. That is no disagreement, and blocks nothing.
    - ``landed_meanwhile``: a sale whose row landed after the rows were read. Its row counts, and is not missing.
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
    landed_meanwhile: list[str]
    findings: Findings = field(repr=False, compare=False)

    @property
    def consistent(self) -> bool:
        """Whether every sale has one row, one item with the same facts, and no open claim."""
        return not any((self.missing_rows, self.doubled_rows, self.missing_items, self.divergent, self.open_claims))

    def as_json(self) -> dict[str, Any]:
        """Return the report for JSON, without ``findings``."""
        listed = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "findings"}
        return {**listed, "consistent": self.consistent}

    def with_landed(self, names: Iterable[str]) -> Report:
        """Return the report with the rows that landed after the rows were read.

        ``names`` has the sale of each of these rows. Rows of sales that are not missing one are ignored: their items
        and claims may have come after the others were read, too.
        """
        missing = set(self.findings.without_row)
        landed = Counter(name for name in names if name in missing)
        doubled = {*self.findings.doubled, *(name for name, rows in landed.items() if rows > 1)}
        findings = replace(self.findings, without_row=missing - landed.keys(), doubled=doubled)
        return replace(
            self,
            rows=self.rows + landed.total(),
            missing_rows=_for_people(findings.without_row),
            doubled_rows=_for_people(doubled),
            landed_meanwhile=_for_people(landed),
            findings=findings,
        )


@dataclass(frozen=True)
class Findings:
    """The sales of a report by their names (:func:`name_of`). ``divergent`` has the keys of the items that differ."""

    without_row: Set[str]
    doubled: Set[str]
    without_item: Set[str]
    divergent: Mapping[str, Sequence[ItemKey]]
    open: Set[str]


def compare(
    rows: Iterable[StoredSale], items: Iterable[StoredSale], claims: Iterable[StoredClaim], now: float
) -> Report:
    """Read all rows, then all claims, then all items, and report how they agree at ``now``, in epoch seconds."""
    read: Counter[str] = Counter()
    # The digest of each row, or None as soon as an item of the sale was read.
    digests: dict[str, bytes | None] = {}
    expired, without_row, doubled, open_claims, released = (set[str]() for _ in range(5))
    divergent: dict[str, list[ItemKey]] = {}
    for row in rows:
        read["rows"] += 1
        name = name_of(row.key)
        if name in digests:
            doubled.add(name)
            continue
        digests[name] = row.digest
        if row.expires_at <= now:
            expired.add(name)
    for claim in claims:
        name = name_of(claim.key)
        if not claim.completed:
            (released if claim.released and name not in digests else open_claims).add(name)
        elif name not in digests:
            without_row.add(name)
    for item in items:
        read["items"] += 1
        name = name_of(item.key)
        if name not in digests:
            without_row.add(name)
            continue
        if digests[name] != item.digest:
            # This is also true for a second item of a sale: another key means another product or date.
            divergent.setdefault(name, []).extend([item.item_key] if item.item_key else [])
        digests[name] = None
    without_item = {name for name, digest in digests.items() if digest is not None} - expired
    return Report(
        sales=len(digests) + len((without_row | open_claims) - digests.keys()),
        rows=read["rows"],
        items=read["items"],
        missing_rows=_for_people(without_row),
        doubled_rows=_for_people(doubled),
        missing_items=_for_people(without_item),
        divergent=_for_people(divergent),
        open_claims=_for_people(open_claims),
        released_claims=_for_people(released),
        landed_meanwhile=[],
        findings=Findings(without_row, doubled, without_item, divergent, open_claims),
    )


def name_of(key: SaleKey) -> str:
    """Return a unique name for a sale. Ids may contain a slash, but never a '#'."""
    return f"{key.tenant_id}#{key.sale_id}"


def key_of(name: str) -> SaleKey:
    """Return the key of the sale with this name."""
    tenant_id, _, sale_id = name.partition("#")
    return SaleKey(tenant_id, sale_id)


def for_people(name: str) -> str:
    """Return the name as reports show it, ``tenant/saleId``."""
    return name.replace("#", "/", 1)


def _for_people(names: Iterable[str]) -> list[str]:
    return sorted(map(for_people, names))


def sale_of_row(sale: Sale, derived_correctly: bool = True) -> StoredSale:
    """Return a row as a stored sale, with the digest of the item that it should have.

    A row whose derived columns are wrong agrees with no item.
    """
    digest = digest_of_item(item_of(sale)) if derived_correctly else _BAD_ROW
    return StoredSale(sale.key, digest, sale.projection_expires_at)


def sale_of_item(item: Item) -> StoredSale:
    """Return an item as a stored sale. An item without its ids is named by its key, and agrees with no row."""
    item_key = ItemKey(*(str(item.get(name, {}).get("S")) for name in ("PK", "SK")))
    ids = [item.get(name, {}).get("S") for name in ("tenantId", "saleId")]
    if None in ids:
        return StoredSale(SaleKey(*item_key), _BAD_ITEM, item_key=item_key)
    return StoredSale(SaleKey(*ids), digest_of_item(item), item_key=item_key)


def claim_of_item(item: Item) -> StoredClaim:
    """Return the claim that an item of the guard holds. An item that can't be read is an open claim.

    An item without its ids is named by its key.
    """
    tenant_id, sale_id, *item_key = (item.get(name, {}).get("S", "") for name in ("tenantId", "eventId", "pk", "sk"))
    key = SaleKey(tenant_id, sale_id) if tenant_id and sale_id else SaleKey(*item_key)
    try:
        claim = read_item(item)
    except (KeyError, ValueError):
        return StoredClaim(key, completed=False)
    completed = claim.status is Status.COMPLETED
    return StoredClaim(key, completed, released=not completed and "leaseUntil" in item and not claim.lease_until)


def digest_of_item(item: Item) -> bytes:
    """Return a digest of the attributes that are compared.

    Numbers with the same value have the same digest, and so have embeddings with the same 32-bit floats, whatever their
    spelling.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(item.keys() & COMPARED_ATTRIBUTES):
        data_type, value = next(iter(item[name].items()))
        content = _canonical(name, data_type, value)
        digest.update(f"{name}:{data_type}:{len(content)}:".encode())
        digest.update(content)
    return digest.digest()


def _canonical(name: str, data_type: str, value: Any) -> bytes:
    try:
        if name in _VECTORS:
            return vector_of_json("".join(value.split())).tobytes()
        if data_type == "N":
            return plain_number(Decimal(value)).encode()
    except (ValueError, TypeError, AttributeError, InvalidOperation):
        pass
    return str(value).encode()
