"""Mends what ``carousel-sync verify`` finds, while sales are being processed: look-up items and claims, never rows.

The rows are the truth. Everything is read anew before it is changed, and every change is one conditional write:

* an item is written, or corrected, on condition that it is still missing, or still as it was read, and only after a
  look at the table's history has shown that no row was removed since its row was read;
* the claim of a sale that has its row and its item is completed, on condition that it is still as it was read: a
  writer that completes it first is right, too;
* the claim of a sale that has no row is released once its lease has lapsed: its lease is set to 0, so that any delivery
  may take it over at once. It is never deleted, and keeps its attempts and its base: one of those attempts may have
  sent a commit that takes effect late, and only who finds it listed can fence it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from carousel_sync.aws.target import Target
from carousel_sync.consistency.compare import Report, digest_of_item, for_people, key_of, name_of
from carousel_sync.consistency.conditional_writes import ConditionalWrites
from carousel_sync.consistency.table_rows import Row, read_rows
from lambda_fn.aws.batch_requests import Batches, Item, ItemKey
from lambda_fn.errors import StoreUnavailable
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.guard.items import GuardItem, Status, completed_item, guard_key, read_item
from lambda_fn.ports import Completion
from lambda_fn.projection.item import item_of, projection_key
from lambda_fn.projection.projection_table import projection_table
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.sale import Sale

SALES_AT_ONCE: Final = 100
WORKERS: Final = 16
READ_SECONDS: Final = 60.0

IS_PROCESSED: Final = "it is being processed: its lease still runs; look again in a minute"
CHANGED: Final = "it was changed meanwhile; look again"
WRONG_ROW: Final = "the row itself is wrong: columns that follow from others (season, discount, ...) do not"
DOUBLED: Final = "the table has more than one row of it; leave one row first (carousel-sync dedupe)"
OTHER_FACTS: Final = "the claim is for other facts than the row's: the next delivery of its event tells them apart"
ROW_IS_GONE: Final = "its row is gone meanwhile; verify again"
UNREADABLE: Final = "the claim can't be read: something other than the function wrote it"


@dataclass
class Repairs:
    """What was changed, or would be in a dry run, and what was ``left`` as it is, with the reason."""

    dry_run: bool
    items_written: list[str] = field(default_factory=list)
    items_corrected: list[str] = field(default_factory=list)
    items_removed: list[str] = field(default_factory=list)
    claims_completed: list[str] = field(default_factory=list)
    claims_released: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    @property
    def listed(self) -> dict[str, list[str]]:
        """What was changed, by what it is called for people."""
        return {
            "items missing": self.items_written,
            "items divergent": self.items_corrected,
            "items under a wrong key (to be deleted: the sale has its own)": self.items_removed,
            "claims of sales in the table (to be completed)": self.claims_completed,
            "claims of sales not in the table (to be released)": self.claims_released,
        }

    @property
    def changes(self) -> int:
        """How many changes in all."""
        return sum(map(len, self.listed.values()))

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return vars(self)


class Repair:
    """One repair of what a report has found. ``done`` is kept up to date, also for whoever interrupts."""

    def __init__(
        self,
        target: Target,
        report: Report,
        *,
        dry_run: bool,
        progress: Callable[[int, int], None] = lambda *_: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._target = target
        self._found = report.findings
        self._now = now
        self._progress = progress
        self.done = Repairs(dry_run)
        settings = target.settings
        self._clock = SystemClock()
        self._threads = Threads(WORKERS)
        retry = Retry(self._clock, random.Random())  # noqa: S311 - spreads retries, keeps no secret
        client = target.client("dynamodb")
        self._items = Batches(client, projection_table(settings.projection_table), retry, self._threads)
        self._claims = Batches(client, guard_table(settings.guard_table), retry, self._threads)
        self._writes = ConditionalWrites(client, settings.projection_table, settings.guard_table, dry_run=dry_run)
        self._table = target.load_table()

    def run(self) -> Repairs:
        """Mend what can be mended. Raises StoreUnavailable; what was changed until then stays, and is right."""
        found = self._found
        items = found.without_item | found.divergent.keys()
        wanted = (items | found.open) - found.without_row
        self.done.left.update({for_people(name): DOUBLED for name in wanted & found.doubled})
        wanted -= found.doubled
        if not wanted:
            return self.done
        met: set[str] = set()
        twice: set[str] = set()
        # Of the sales that may have an item under a wrong key.
        right_keys: dict[str, ItemKey] = {}
        for rows in _grouped(read_rows(self._table, self._progress), wanted):
            first: list[Row] = []
            for row in rows:
                name = name_of(row.sale.key)
                if name in met:
                    twice.add(name)
                else:
                    met.add(name)
                    first.append(row)
                if name in found.divergent:
                    right_keys[name] = projection_key(row.sale)
            self._mend(first)
        self.done.left.update({for_people(name): DOUBLED for name in twice})
        gone = wanted - met
        self.done.left.update({for_people(name): ROW_IS_GONE for name in gone & items})
        self._release(sorted(gone & found.open))
        self._remove_strays({name: key for name, key in right_keys.items() if name not in twice})
        return self.done

    # --- sales that have their row ---

    def _mend(self, rows: Sequence[Row]) -> None:
        good = [row.sale for row in rows if row.derived_correctly]
        for row in rows:
            if not row.derived_correctly:
                self._leave(name_of(row.sale.key), WRONG_ROW)
        deadline = Deadline.after(self._clock, READ_SECONDS)
        claims = self._claims.get([guard_key(sale.key) for sale in good], deadline)
        items = self._items.get([projection_key(sale) for sale in good], deadline)
        self._make_sure_that_no_row_was_removed()

        def mend(sale: Sale) -> None:
            if self._mend_item(sale, items.get(projection_key(sale))):
                self._complete(sale, claims.get(guard_key(sale.key)))

        self._threads.map(mend, good)

    def _mend_item(self, sale: Sale, item: Item | None) -> bool:
        """Make the sale's item what it ought to be, and tell whether it is that."""
        name = name_of(sale.key)
        wanted = item_of(sale)
        if item is None:
            if sale.projection_expires_at <= self._now():
                return True
            written, listed = self._writes.put_item(wanted), self.done.items_written
        elif digest_of_item(item) == digest_of_item(wanted):
            return True
        else:
            written, listed = self._writes.correct_item(item, wanted), self.done.items_corrected
        if not written:
            return self._leave(name, CHANGED)
        listed.append(for_people(name))
        return True

    def _complete(self, sale: Sale, raw: Item | None) -> None:
        """Complete the claim of a sale that has its row and its item, if it is open."""
        name = name_of(sale.key)
        claim = self._open_claim(name, raw)
        if claim is None:
            return
        if claim.payload_hash != sale.payload_hash:
            self._leave(name, OTHER_FACTS)
            return
        completed = completed_item(Completion(sale.key, sale.payload_hash, snapshot_id=None), self._now())
        if self._writes.complete_claim(claim, completed):
            self.done.claims_completed.append(for_people(name))
        else:
            self._leave(name, CHANGED)

    # --- sales that have none ---

    def _release(self, names: Sequence[str]) -> None:
        """Release the claims of sales that have no row at the head that was read; what lands later is resolved."""
        claims = self._claims.get(
            [guard_key(key_of(name)) for name in names], Deadline.after(self._clock, READ_SECONDS)
        )

        def release(name: str) -> None:
            raw = claims.get(guard_key(key_of(name)))
            claim = self._open_claim(name, raw)
            if claim is None or raw is None or not claim.lease_until:
                return
            if self._writes.release_claim(guard_key(key_of(name)), claim):
                self.done.claims_released.append(for_people(name))
            else:
                self._leave(name, CHANGED)

        self._threads.map(release, names)

    def _open_claim(self, name: str, raw: Item | None) -> GuardItem | None:
        """Return a claim that is open and whose lease has lapsed."""
        try:
            claim = read_item(raw) if raw is not None else None
        except (KeyError, ValueError):
            self._leave(name, UNREADABLE)
            return None
        if claim is None or claim.status is Status.COMPLETED:
            return None
        if claim.lease_until > self._now():
            self._leave(name, IS_PROCESSED)
            return None
        return claim

    # --- items under a wrong key ---

    def _remove_strays(self, right: Mapping[str, ItemKey]) -> None:
        """Delete items of a sale under any key but that of its only row: its item is there, under its own key."""
        strays = {
            key: name
            for name, keys in self._found.divergent.items()
            for key in keys
            if name in right and right[name] != key and for_people(name) not in self.done.left
        }
        items = self._items.get(list(strays), Deadline.after(self._clock, READ_SECONDS))
        for key, item in items.items():
            name = strays[key]
            if (item.get("tenantId", {}).get("S"), item.get("saleId", {}).get("S")) != key_of(name):
                self._leave(name, CHANGED)
            elif self._writes.remove_item(item):
                self.done.items_removed.append(for_people(name))
            else:
                self._leave(name, CHANGED)

    # --- helpers ---

    def _make_sure_that_no_row_was_removed(self) -> None:
        """Raise StoreUnavailable unless all that happened to the table since it was read are appends and compaction."""
        newer = self._target.load_table()
        if newer.metadata_location != self._table.metadata_location and rows_may_be_gone(self._table, newer):
            raise StoreUnavailable(
                "Rows of the Iceberg table were removed or rewritten while this ran, by something other than the "
                f"function. {self.done.changes:,} changes were made before, and are right. Run the command again."
            )

    def _leave(self, name: str, why: str) -> bool:
        self.done.left[for_people(name)] = why
        return False


def rows_may_be_gone(older: Table, newer: Table) -> bool:
    """Whether a row of the older state may be missing in the newer one, as the table's history tells."""
    known = older.metadata.current_snapshot_id
    current = newer.metadata.current_snapshot_id
    while current is not None and current != known:
        snapshot = newer.metadata.snapshot_by_id(current)
        operation = snapshot.summary.operation if snapshot is not None and snapshot.summary is not None else None
        if snapshot is None or operation not in (Operation.APPEND, Operation.REPLACE):
            return True
        current = snapshot.parent_snapshot_id
    return current != known


def _grouped(rows: Iterable[Row], names: frozenset[str]) -> Iterable[list[Row]]:
    """Yield the rows of the sales that are named, some at a time."""
    group: list[Row] = []
    for row in rows:
        if name_of(row.sale.key) in names:
            group.append(row)
        if len(group) == SALES_AT_ONCE:
            yield group
            group = []
    if group:
        yield group
