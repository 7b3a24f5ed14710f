"""Repairs what ``carousel-sync verify`` finds while sales are being processed: look-up items and claims, never rows.

The rows are the truth. Everything is read again before it is changed, and every change is one conditional write:

* An item is written or corrected only if it is still missing, or still as it was read, and only after the table's
  history has shown that no row was removed since its row was read.
* The claim of a sale that has its row and its item is completed only if it is still as it was read. A writer that
  completes it first is right, too.
* The claim of a sale without a row is released once its lease has expired: the lease is set to 0, so that any delivery
  may take the claim over at once. The claim is never deleted, and keeps its attempts and its base: one of the attempts
  may have sent a commit that takes effect late, and only a delivery that finds the attempt listed can fence it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from more_itertools import chunked
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

LEASE_RUNNING: Final = "the sale is being processed (its lease has not expired); verify again in a minute"
CHANGED: Final = "it changed while it was being repaired; verify again"
WRONG_ROW: Final = "the row is wrong: columns that are derived from others (season, discount, ...) do not match them"
DOUBLED: Final = "the table has more than one row of the sale; keep one row first (carousel-sync dedupe)"
OTHER_FACTS: Final = "the claim has other facts than the row; the next delivery of its event shows which are right"
ROW_IS_GONE: Final = "the row was removed while this command ran; verify again"
UNREADABLE: Final = "the claim can't be read: something other than the function wrote it; see docs/repair.md"


@dataclass
class Repairs:
    """The sales whose items or claims were changed, or would be in a dry run; ``left`` has the others with a reason.

    ``items_removed`` are items under a wrong key, of sales that have an item under the right one.
    """

    dry_run: bool
    items_written: list[str] = field(default_factory=list)
    items_corrected: list[str] = field(default_factory=list)
    items_removed: list[str] = field(default_factory=list)
    claims_completed: list[str] = field(default_factory=list)
    claims_released: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        """The number of changes, made or not."""
        return sum(len(changed) for changed in vars(self).values() if isinstance(changed, list))

    @property
    def made(self) -> int:
        """The number of changes that were made: none in a dry run."""
        return 0 if self.dry_run else self.changes


class Repair:
    """One repair of what a report lists. ``done`` is up to date at any moment, so that an interruption can show it."""

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
        self._clock = SystemClock()
        self._threads = Threads(WORKERS)
        retry = Retry(self._clock, random.Random())  # noqa: S311 - spreads retries, keeps no secret
        client = target.client("dynamodb")
        items, claims = target.settings.projection_table, target.settings.guard_table
        self._items = Batches(client, projection_table(items), retry, self._threads)
        self._claims = Batches(client, guard_table(claims), retry, self._threads)
        self._writes = ConditionalWrites(client, items, claims, dry_run=dry_run)
        self._table = target.load_table()

    def run(self) -> Repairs:
        """Repair what can be repaired. Raises StoreUnavailable; changes made before that remain, and are correct."""
        found = self._found
        damaged_items = found.without_item | found.divergent.keys()
        candidates = (damaged_items | found.open) - found.without_row
        self._leave(candidates & found.doubled, DOUBLED)
        candidates -= found.doubled
        if not candidates:
            return self.done
        seen: set[str] = set()
        doubled: set[str] = set()
        right_keys: dict[str, ItemKey] = {}
        rows = (row for row in read_rows(self._table, self._progress) if name_of(row.sale.key) in candidates)
        for chunk in chunked(rows, SALES_AT_ONCE):
            first_rows: list[Row] = []
            for row in chunk:
                name = name_of(row.sale.key)
                if name in seen:
                    doubled.add(name)
                    continue
                seen.add(name)
                first_rows.append(row)
                if name in found.divergent:
                    right_keys[name] = projection_key(row.sale)
            self._repair(first_rows)
        self._leave(doubled, DOUBLED)
        without_row = candidates - seen
        self._leave(without_row & damaged_items, ROW_IS_GONE)
        self._release_claims(sorted(without_row & found.open))
        self._delete_items_under_wrong_keys(right_keys)
        return self.done

    def _repair(self, rows: Sequence[Row]) -> None:
        sales = [row.sale for row in rows if row.derived_correctly]
        self._leave((name_of(row.sale.key) for row in rows if not row.derived_correctly), WRONG_ROW)
        deadline = Deadline.after(self._clock, READ_SECONDS)
        claims = self._claims.get([guard_key(sale.key) for sale in sales], deadline)
        items = self._items.get([projection_key(sale) for sale in sales], deadline)
        self._check_that_no_row_was_removed()

        def repair(sale: Sale) -> None:
            if self._repair_item(sale, items.get(projection_key(sale))):
                self._complete_claim(sale, claims.get(guard_key(sale.key)))

        self._threads.map(repair, sales)

    def _repair_item(self, sale: Sale, item: Item | None) -> bool:
        """Make the sale's item match its row, and return whether it does."""
        name, wanted = name_of(sale.key), item_of(sale)
        if item is None:
            if sale.projection_expires_at <= self._now():
                return True
            return self._record(name, self.done.items_written, self._writes.put_item(wanted))
        if digest_of_item(item) == digest_of_item(wanted):
            return True
        return self._record(name, self.done.items_corrected, self._writes.correct_item(item, wanted))

    def _complete_claim(self, sale: Sale, item: Item | None) -> None:
        """Complete the claim of a sale that has its row and its item, if the claim is open."""
        name = name_of(sale.key)
        claim = self._open_claim(name, item)
        if claim is not None and claim.facts.conflicts_with(sale.stored_facts):
            self._leave([name], OTHER_FACTS)
        elif claim is not None:
            completed = completed_item(Completion(sale.key, sale.stored_facts, snapshot_id=None), self._now())
            self._record(name, self.done.claims_completed, self._writes.complete_claim(claim, completed))

    def _release_claims(self, names: Sequence[str]) -> None:
        """Release the claims of sales without a row. A commit that still lands is found by the next delivery."""
        keys = {name: guard_key(key_of(name)) for name in names}
        claims = self._claims.get(list(keys.values()), Deadline.after(self._clock, READ_SECONDS))

        def release(name: str) -> None:
            claim = self._open_claim(name, claims.get(keys[name]))
            if claim is not None and claim.lease_until:
                self._record(name, self.done.claims_released, self._writes.release_claim(keys[name], claim))

        self._threads.map(release, names)

    def _open_claim(self, name: str, item: Item | None) -> GuardItem | None:
        """Return the claim if it is open and its lease has expired."""
        try:
            claim = read_item(item) if item is not None else None
        except (KeyError, ValueError):
            self._leave([name], UNREADABLE)
            return None
        if claim is None or claim.status is Status.COMPLETED:
            return None
        if claim.lease_until <= self._now():
            return claim
        self._leave([name], LEASE_RUNNING)
        return None

    def _delete_items_under_wrong_keys(self, right_keys: Mapping[str, ItemKey]) -> None:
        """Delete every item of a sale but that under the key that its only row gives it, which exists by now."""
        wrong = {
            key: name
            for name, keys in self._found.divergent.items()
            for key in keys
            if name in right_keys and right_keys[name] != key and for_people(name) not in self.done.left
        }
        items = self._items.get(list(wrong), Deadline.after(self._clock, READ_SECONDS))
        for key, item in items.items():
            name = wrong[key]
            is_of_sale = (item.get("tenantId", {}).get("S"), item.get("saleId", {}).get("S")) == key_of(name)
            self._record(name, self.done.items_removed, is_of_sale and self._writes.delete_item(item))

    def _check_that_no_row_was_removed(self) -> None:
        """Raise StoreUnavailable unless the table was only appended to and compacted since it was read."""
        newer = self._target.load_table()
        if newer.metadata_location != self._table.metadata_location and rows_may_be_gone(self._table, newer):
            raise StoreUnavailable(
                "Something other than the function removed or rewrote rows of the Iceberg table while this command "
                f"ran. The {self.done.made:,} changes made before that remain, and are correct. Run the command again."
            )

    def _record(self, name: str, changed: list[str], succeeded: bool) -> bool:
        """Note that a change was made, or else that the item or claim had changed before; return ``succeeded``."""
        if succeeded:
            changed.append(for_people(name))
        else:
            self._leave([name], CHANGED)
        return succeeded

    def _leave(self, names: Iterable[str], reason: str) -> None:
        self.done.left.update({for_people(name): reason for name in names})


def rows_may_be_gone(older: Table, newer: Table) -> bool:
    """Return whether the newer state may lack a row of the older one, going by the table's history."""
    known = older.metadata.current_snapshot_id
    current = newer.metadata.current_snapshot_id
    while current is not None and current != known:
        snapshot = newer.metadata.snapshot_by_id(current)
        operation = snapshot.summary.operation if snapshot is not None and snapshot.summary is not None else None
        if snapshot is None or operation not in (Operation.APPEND, Operation.REPLACE):
            return True
        current = snapshot.parent_snapshot_id
    return current != known
