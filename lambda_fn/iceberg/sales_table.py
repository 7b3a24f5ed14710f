"""The table of sales: appends each attempt with one snapshot, and judges from the history whether it has landed.

Steps 2, 5, 6 and 7 of the protocol (docs/exactly-once.md). An attempt's id is the id of the snapshot that it commits,
or is listed by the snapshot of the leader that commits for it, so that the table shows at any later time whether the
attempt has landed. The commits themselves are in :mod:`append` and :mod:`group_commit`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Generic

from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.iceberg.append import Append
from lambda_fn.iceberg.group_commit.commit_queue import CommitQueue
from lambda_fn.iceberg.group_commit.group import GroupCommit
from lambda_fn.iceberg.history import ancestors_since
from lambda_fn.iceberg.store import Committed, Scan, Staged, State, TableState, TableStore, Unknown
from lambda_fn.ports import AppendResult, Claimed, GiveUp, ManifestMerge, Resolution
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale, SaleKey

MAX_LOAD_TRIES: Final = 3
CONTENTION_SECONDS: Final = 5.0
"""For this long, a process that has met another writer joins the commit queue without losing a race first."""
MAX_PIN_SECONDS: Final = 60.0
"""A member of a group does not see the head that landed it. Its pin must stay far younger than the oldest snapshot."""


class IcebergSalesTable(Generic[State, Staged]):
    """The Iceberg table of sales. Remembers the head that it saw last, so that the next attempt pins it for free.

    An old pin is as safe as a fresh one. It means more history to look through, or one refused commit.
    """

    def __init__(
        self,
        store: TableStore[State, Staged],
        retry: Retry,
        queue: CommitQueue | None = None,
        *,
        always_in_groups: bool = False,
        report_queue_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._retry = retry
        self._last_seen: State | None = None
        self._seen_at = 0.0
        self._committed: State | None = None
        self._always_in_groups = always_in_groups
        self._contended_until = float("-inf")
        self._has_appended = False
        self.group_commit = GroupCommit(store, queue, self, retry, report_queue_failure) if queue is not None else None

    def begin(self, attempt_id: int, deadline: Deadline) -> IcebergAppendAttempt[State, Staged]:
        """Pin the head. Raises TableMissing, or StoreUnavailable if the head can't be read."""
        self._committed = None
        is_old = self.is_contended and self._retry.clock.monotonic() - self._seen_at > MAX_PIN_SECONDS
        pinned = self._last_seen if self._last_seen is not None and not is_old else self.load(deadline)
        return IcebergAppendAttempt(self, self._store, self._retry, attempt_id, pinned)

    @property
    def is_contended(self) -> bool:
        """Whether attempts go through the commit queue: other writers have just wanted to commit as well."""
        if self.group_commit is None:
            return False
        return self._always_in_groups or self._retry.clock.monotonic() < self._contended_until

    def look_for_contention(self, deadline: Deadline) -> None:
        """Ask the commit queue, before the first append of this process, whether other writers want to commit."""
        if self.group_commit is not None and not self._has_appended and not self.is_contended:
            self._has_appended = True
            if self.group_commit.is_busy(deadline):
                self.note_contention()

    def note_contention(self) -> None:
        """Remember for some seconds that other writers want to commit."""
        self._contended_until = self._retry.clock.monotonic() + CONTENTION_SECONDS

    def merge_manifests(self, deadline: Deadline) -> ManifestMerge | None:
        """Merge small manifests if a merge is due and there is time. Returns None if there is none.

        Only a process that has just committed the head merges: it knows the head's manifests. Never raises. A merge
        that fails leaves the manifests as they were, and may leave files that no snapshot references.
        """
        if self._committed is None:
            return None
        try:
            merge = self._store.merge_manifests(self._committed, deadline)
        finally:
            self._committed = None
            if self.group_commit is not None:
                self.group_commit.release(deadline)
        if merge is None:
            return None
        if isinstance(merge.commit, Committed):
            self.remember(merge.commit.state)
            return ManifestMerge(merge.manifests)
        if isinstance(merge.commit, Unknown) or merge.commit.needs_load:
            self.forget()
        return ManifestMerge(merge.manifests, merge.commit.cause)

    def load(self, deadline: Deadline) -> State:
        """Read the head and remember it. Raises TableMissing, or StoreUnavailable after a few tries."""
        last: StoreUnavailable = OutOfTime("No time is left to read the table's head; the sales stay in the queue.")
        for number in self._retry.tries(deadline, self._store.load_seconds):
            try:
                state = self._store.load(self._last_seen)
            except StoreUnavailable as error:
                last = error
            else:
                self.remember(state)
                return state
            if number + 1 == MAX_LOAD_TRIES:
                break
        raise last

    def remember(self, state: State) -> None:
        """Pin this head in the next attempt."""
        self._last_seen = state
        self._seen_at = self._retry.clock.monotonic()

    def committed(self, state: State) -> None:
        """Pin this head, which this process has just committed, in the next attempt."""
        self.remember(state)
        self._committed = state

    def forget(self) -> None:
        """Read the head from the catalog in the next attempt."""
        self._last_seen = None


class IcebergAppendAttempt(Generic[State, Staged]):
    """One invocation's attempt to land its sales with one snapshot.

    ``attempt_id`` is the id of the snapshot that it commits, unless a leader lands it. ``pin`` is the table's head as
    it was known before the first claim, or NO_SNAPSHOT.
    """

    def __init__(
        self,
        table: IcebergSalesTable[State, Staged],
        store: TableStore[State, Staged],
        retry: Retry,
        attempt_id: int,
        pinned: State,
    ) -> None:
        self._table = table
        self._store = store
        self._retry = retry
        self.attempt_id = attempt_id
        self.pin = pinned.head
        # As of this head the attempt has not landed. The next commit is a compare-and-set on it.
        self._judged = pinned
        # Some of the sales were looked up in the table, as of the same head.
        self._looked_up = False
        self._staged: tuple[list[SaleKey], Staged] | None = None

    def columns_missing(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Collection[str]]:
        """Return the sales with facts that the table has no column for, and the names of those facts.

        Call it before the first claim: a column that the remembered head does not have may have been added since, so
        the head is read and pinned again. Raises StoreUnavailable if it can't be read.
        """
        if not _facts_without_column(sales, self._judged):
            return {}
        self._judged = self._table.load(deadline)
        self.pin = self._judged.head
        return _facts_without_column(sales, self._judged)

    def resolve(
        self, taken_over: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline
    ) -> Resolution | GiveUp:
        """Reload the head, and return which of the sales have landed as of it.

        Raises StoreUnavailable if the head, or a manifest of the scan, can't be read.
        """
        state = self._table.load(deadline)
        since_pin = ancestors_since(state.head, self._judged.head, state.snapshots)
        if since_pin.fences(self.attempt_id):
            return GiveUp.FENCED
        if not since_pin.complete:
            return GiveUp.HISTORY_EXPIRED
        self._judged = state
        self._looked_up = bool(unvouched)
        undecided = list(unvouched)
        landed_in: dict[SaleKey, int] = {}
        for claim in taken_over:
            since_base = ancestors_since(state.head, claim.base, state.snapshots)
            snapshot = since_base.landed(claim.earlier_attempts)
            if snapshot is not None:
                landed_in[claim.sale.key] = snapshot
            if snapshot is not None or not since_base.complete:
                undecided.append(claim.sale)
        # An attempt that landed does not prove that it carried this sale: the claim may have reached the guard after
        # the attempt had gone on without the sale. The row decides.
        scan = self._scan(state, undecided, deadline)
        return Resolution({key: landed_in.get(key) for key in scan.present}, scan.undecided)

    def stage(self, sales: Sequence[Sale]) -> None:
        """Make the files for an append of these sales in memory. Raises ColumnsMissing."""
        self._stage_once(sales)

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        """Stage and upload the files for an append of these sales to the pinned head.

        The append uploads what could not be uploaded here. If the append is never committed, the files stay behind;
        S3 Tables removes files that no snapshot references. Raises ColumnsMissing.
        """
        staged = self._stage_once(sales)
        if self._table.is_contended:
            self._store.share(self._judged, staged, deadline)
        else:
            self._store.upload(self._judged, staged, deadline)

    def append(self, sales: Sequence[Sale], fenced: Collection[int], deadline: Deadline) -> AppendResult:
        """Commit the sales: alone, or with the other attempts that wait for a commit while there is contention.

        The snapshot's summary names the fenced attempts, and the attempts that it lands besides its own. Raises
        ColumnsMissing if a column was removed meanwhile. Any other failure is part of the result. A failure leaves
        files behind that no snapshot references. Only S3 Tables removes them: deleting one here could break a commit
        that takes effect late.
        """
        staged = self._stage_once(sales)
        append = Append(
            self._table,
            self._store,
            self.attempt_id,
            sales,
            frozenset(fenced),
            self._judged,
            staged,
            looked_up=self._looked_up,
        )
        group = self._table.group_commit
        if group is None:
            return append.commit_alone(self._retry, deadline)

        def join_the_others() -> AppendResult:
            self._table.note_contention()
            return group.run(append, deadline)

        self._table.look_for_contention(deadline)
        if self._table.is_contended:
            return group.run(append, deadline)
        return append.commit_alone(self._retry, deadline, join_the_others)

    def _stage_once(self, sales: Sequence[Sale]) -> Staged:
        keys = [sale.key for sale in sales]
        if self._staged is None or self._staged[0] != keys:
            self._staged = (keys, self._store.stage(self._judged, sales, self.attempt_id))
        return self._staged[1]

    def _scan(self, state: State, sales: Sequence[Sale], deadline: Deadline) -> Scan:
        if not sales:
            return Scan(())
        if not deadline.allows(self._store.load_seconds):
            raise OutOfTime("No time is left to look the sales up in the table; they stay in the queue.")
        return self._store.scan(state, sales, deadline)


def _facts_without_column(sales: Sequence[Sale], state: TableState) -> Mapping[SaleKey, Collection[str]]:
    missing = state.missing_facts
    if not missing:
        return {}
    by_sale = {sale.key: [name for name in missing if getattr(sale, name) is not None] for sale in sales}
    return {key: names for key, names in by_sale.items() if names}
