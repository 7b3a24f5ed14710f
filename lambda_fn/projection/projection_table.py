"""The projection on DynamoDB: one item per sale, for look-ups by product, tenant and date, or embedding shard."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

from lambda_fn.aws.batch_requests import Batches, Item, KeyedTable, unreadable
from lambda_fn.fields import FACTS
from lambda_fn.ports import Reason, Rejection, Unreadable
from lambda_fn.projection.item import ITEM_LIMIT_BYTES, item_of, item_size_bytes, projection_key, sale_of
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey

# Upper bounds for one character, one 32-bit float with its comma, and all other attributes of an item: ids of up to 128
# characters in keys and attributes, two labels of up to 256 characters, names, numbers and dates.
UTF8_BYTES: Final = 4
FLOAT_CHARACTERS: Final = 16
OTHER_ATTRIBUTES_BYTES: Final = 10 * 128 * UTF8_BYTES + 2 * 256 * UTF8_BYTES + 1024
_OPTIONAL_TEXTS: Final = tuple(fact.attribute for fact in FACTS if fact.type is str and not fact.required)


def projection_table(name: str) -> KeyedTable:
    """Return the projection table's name and keys."""
    return KeyedTable(name, partition_key="PK", sort_key="SK")


class DynamoDBProjection:
    """A copy of every sale, for look-ups."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def rejects(self, sale: Sale) -> Rejection | None:
        """Return a rejection if the sale's item would be too large to store."""
        return rejection_of(sale)

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale | Unreadable]:
        """Return those of the sales that are stored, read with strong consistency.

        Raises StoreUnavailable if not all of them could be read before the deadline.
        """
        items = self._batches.get([projection_key(sale) for sale in sales], deadline)
        return {sale.key: self._read(items[key], sale) for sale in sales if (key := projection_key(sale)) in items}

    def _read(self, item: Item, sought: Sale) -> Sale | Unreadable:
        with suppress(KeyError, ValueError, ArithmeticError):
            sale = sale_of(item)
            if sale.key == sought.key:
                return sale
        return Unreadable(unreadable(self._batches.table, item))

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        """Store the sales, and return those that are known to be stored.

        A repeat writes the same item. Raises StoreUnavailable if DynamoDB refuses; some items may be stored then.
        """
        stored = self._batches.put([item_of(sale) for sale in sales], deadline)
        return {sale.key for sale in sales if projection_key(sale) in stored}


def rejection_of(sale: Sale) -> Rejection | None:
    """Return a rejection if the sale's item would be too large to store. Sends no request."""
    if _fits_at_a_glance(sale) or item_size_bytes(item_of(sale)) <= ITEM_LIMIT_BYTES:
        return None
    return Rejection(Reason.ITEM_TOO_LARGE, "detail: larger than a DynamoDB item may be (400 KB)")


def _fits_at_a_glance(sale: Sale) -> bool:
    """Return whether the item is certainly small enough, without building it."""
    characters = sum(len(text) for name in _OPTIONAL_TEXTS if (text := getattr(sale, name)) is not None)
    numbers = len(sale.embedding) if sale.embedding is not None else 0
    return characters * UTF8_BYTES + numbers * FLOAT_CHARACTERS + OTHER_ATTRIBUTES_BYTES <= ITEM_LIMIT_BYTES
