"""DynamoDB in memory, for tests and simulations: its state can be restored, and its items expire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from testbed.dynamodb.memory import Items, MemoryDynamoDB

# Amazon DynamoDB Developer Guide: "Using time to live (TTL) in DynamoDB".
IGNORED_BY_TTL_SECONDS: Final = 5 * 365 * 24 * 3600

Snapshot = Mapping[str, Items]


class FakeDynamoDB(MemoryDynamoDB):
    """A client of tables that exist from the start. Snapshots share items, so never change an item in place."""

    def snapshot(self) -> Snapshot:
        """Return the whole state: one new dictionary per table, with shared items."""
        with self.lock:
            return {name: items.copy() for name, items in self.tables.items()}

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a state. A snapshot can be restored any number of times."""
        with self.lock:
            for name, items in snapshot.items():
                self.tables[name].clear()
                self.tables[name].update(items)

    def delete_expired(self, now: float) -> int:
        """Delete the items whose ``ttl`` has passed, as DynamoDB eventually does, and return their number.

        DynamoDB ignores a ``ttl`` of more than five years ago.
        """
        with self.lock:
            expired = [
                (items, key)
                for items in self.tables.values()
                for key, item in items.items()
                if "ttl" in item and now - IGNORED_BY_TTL_SECONDS <= int(item["ttl"]["N"]) < now
            ]
            for items, key in expired:
                del items[key]
        return len(expired)
