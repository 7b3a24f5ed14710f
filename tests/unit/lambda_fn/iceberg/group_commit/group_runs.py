"""An append in a group, over a store and a queue that do what the test says."""

from __future__ import annotations

from dataclasses import replace

from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry
from lambda_fn.iceberg.group_commit.group import LEASE_SECONDS
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.iceberg.store import Committed
from lambda_fn.ports import AppendResult
from tests.fakes.commit_queue import InMemoryCommitQueue
from tests.unit.lambda_fn.iceberg.table_store import (
    ANOTHER,
    ATTEMPT,
    REQUEST_SECONDS,
    Staged,
    State,
    Store,
    a_sale,
    table,
)

COMMIT_AND_JUDGE = 4 * REQUEST_SECONDS
LANDED_ALONE = Committed(table(1, ATTEMPT))
LEADS = ["lease", "take", "entries", "finish"]


def queue_of(store: Store, *entries: QueueEntry) -> InMemoryCommitQueue:
    """Return a queue in which these attempts wait."""
    queue = InMemoryCommitQueue(store.clock)
    queue.stored.update({entry.attempt_id: entry for entry in entries})
    return queue


def waiting(store: Store, attempt_id: int, *fenced: int, schema: int = 0) -> QueueEntry:
    return QueueEntry(attempt_id, 1, frozenset(fenced), f"sale-{attempt_id} {schema}", store.clock.now())


def warm_table(store: Store, queue: InMemoryCommitQueue) -> IcebergSalesTable[State, Staged]:
    """Return the table of a process that has looked at the lease before its first commit, and saw nobody."""
    sales = store.table(queue)
    sales.look_for_contention(store.soon())
    queue.calls.clear()
    return sales


def append(store: Store, queue: InMemoryCommitQueue, *fenced: int, seconds: float = 60.0) -> AppendResult:
    """Append a sale in a group."""
    sales = store.table(queue, always_in_groups=True)
    return sales.begin(ATTEMPT, store.soon()).append([a_sale()], fenced, store.soon(seconds))


def hold(queue: InMemoryCommitQueue, store: Store, seconds: float = LEASE_SECONDS) -> None:
    """Another attempt leads for this long."""
    now = store.clock.now()
    queue.current = Lease(queue.current.number + 1, ANOTHER, now, now + seconds)


def tells(queue: InMemoryCommitQueue, landed: dict[int, int]) -> None:
    """The leader ends, and tells what has landed."""
    queue.current = replace(queue.current, number=queue.current.number + 1, until=0.0, landed=landed)


def nothing() -> None:
    """Nothing happens before this call."""


def commits(store: Store) -> list[str]:
    return [call for call in store.calls if call.startswith("commit")]
