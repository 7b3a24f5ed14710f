"""Appending sales to the Iceberg table: one snapshot with a chosen id, as a compare-and-set, judged by the history.

Steps 2, 5, 6 and 7 of the protocol (docs/exactly-once.md). An attempt's id is the id of the snapshot that it commits,
so that whether it landed can be read from the table at any later time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.iceberg.history import ancestors_since
from lambda_fn.iceberg.store import Committed, StagedAppend, TableState, TableStore, Unknown
from lambda_fn.ports import AppendResult, Claimed, GiveUp, Landed, ManifestMerge, NotKnownToHaveLanded, Resolution
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale, SaleKey

LOAD_TRIES_BEFORE_GIVING_UP: Final = 3


class IcebergSalesTable:
    """The Iceberg table of sales. Remembers the last head that it saw, to pin the next attempt without a request.

    An older pin is as safe as a fresh one: it means more history to look through, or one refused commit.
    """

    def __init__(self, store: TableStore, retry: Retry) -> None:
        self._store = store
        self._retry = retry
        self._known: TableState | None = None

    def begin(self, attempt_id: int, deadline: Deadline) -> IcebergAppendAttempt:
        """Pin the head. Raises TableMissing, or StoreUnavailable when the head can't be read."""
        state = self._known or self.load(deadline)
        return IcebergAppendAttempt(self, self._store, self._retry, attempt_id, state)

    def merge_manifests(self, deadline: Deadline) -> ManifestMerge | None:
        """Merge small manifests after a commit, when it is its turn and time is left; None when there is nothing to do.

        Never raises. A merge that fails leaves the manifests as they were, and perhaps files that nothing references.
        """
        if self._known is None:
            return None
        merging = self._store.merge_manifests(self._known, deadline)
        if merging is None:
            return None
        if isinstance(merging.answer, Committed):
            self.remember(merging.answer.state)
            return ManifestMerge(merging.manifests)
        if isinstance(merging.answer, Unknown):
            self.remember(None)
        return ManifestMerge(merging.manifests, merging.answer.cause)

    def load(self, deadline: Deadline) -> TableState:
        """Read the head, and remember it. Raises TableMissing, or StoreUnavailable after a few tries."""
        last: StoreUnavailable = OutOfTime("No time is left to read the table's head; the sales stay in the queue.")
        for number in self._retry.tries(deadline, self._store.load_seconds):
            try:
                state = self._store.load()
            except StoreUnavailable as error:
                last = error
            else:
                self.remember(state)
                return state
            if number + 1 == LOAD_TRIES_BEFORE_GIVING_UP:
                break
        raise last

    def remember(self, state: TableState | None) -> None:
        """Keep the head for the next attempt's pin; None makes the next attempt ask the catalog."""
        self._known = state


class IcebergAppendAttempt:
    """One invocation's try at landing its sales as one snapshot."""

    def __init__(
        self, table: IcebergSalesTable, store: TableStore, retry: Retry, attempt_id: int, pinned: TableState
    ) -> None:
        self._table = table
        self._store = store
        self._retry = retry
        self._attempt_id = attempt_id
        self._pin = pinned.head
        self._judged = pinned
        self._staged: tuple[list[SaleKey], StagedAppend] | None = None

    @property
    def attempt_id(self) -> int:
        """The snapshot id that this attempt commits."""
        return self._attempt_id

    @property
    def pin(self) -> int:
        """The table's head as it was known before the first claim, or NO_SNAPSHOT."""
        return self._pin

    def columns_missing(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Collection[str]]:
        """Return the sales with a fact that the table has no column for, and the names of those facts.

        To be asked before the first claim: what is missing in the head that was remembered may be there by now, so
        that the head is read, and pinned, anew. Raises StoreUnavailable when it can't be.
        """
        if not _told_and_lacking(sales, self._judged):
            return {}
        self._judged = self._table.load(deadline)
        self._pin = self._judged.head
        return _told_and_lacking(sales, self._judged)

    def resolve(
        self, taken_over: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline
    ) -> Resolution | GiveUp:
        """Reload the head, and judge which of the sales have landed as of it.

        Raises StoreUnavailable when the head or the files to scan can't be read.
        """
        state = self._table.load(deadline)
        since_pin = ancestors_since(state.head, self._judged.head, state.snapshots)
        if since_pin.fences(self._attempt_id):
            return GiveUp.FENCED
        if not since_pin.complete:
            return GiveUp.HISTORY_EXPIRED
        self._judged = state
        undecided = list(unvouched)
        landed_in: dict[SaleKey, int] = {}
        for claim in taken_over:
            since_base = ancestors_since(state.head, claim.base, state.snapshots)
            attempt = since_base.landed(claim.earlier_attempts)
            if attempt is not None:
                landed_in[claim.sale.key] = attempt
            if attempt is not None or not since_base.complete:
                undecided.append(claim.sale)
        # That an attempt landed does not prove that it carried this sale: its claim may have reached the guard after
        # the attempt had gone on without it. The row decides.
        present = self._scan(state, undecided, deadline)
        return Resolution({key: landed_in.get(key) for key in present})

    def stage(self, sales: Sequence[Sale]) -> None:
        """Make the files of an append of these sales, in memory. Raises ColumnsMissing."""
        self._staged_for(sales)

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        """Stage the sales, and upload their files, on the pinned head: all of an append but its commit.

        What can't be uploaded is left to the append. Files that no commit comes to reference are left behind; S3 Tables
        removes them. Raises ColumnsMissing.
        """
        self._store.upload(self._judged, self._staged_for(sales), deadline)

    def append(self, sales: Sequence[Sale], fenced: Collection[int], deadline: Deadline) -> AppendResult:
        """Commit the sales as one snapshot that names the fenced attempts in its summary.

        A failure is an answer, and raises nothing. It leaves files behind that no commit references: S3 Tables
        removes them, and deleting one here could break a commit that takes effect late. Only a column that went
        away meanwhile raises: ColumnsMissing.
        """
        staged = self._staged_for(sales)
        conflicts = 0
        unanswered = False
        gave_up = GiveUp.OUT_OF_TIME
        for _ in self._retry.tries(deadline, self._store.commit_seconds + self._store.load_seconds):
            # Judged after the pause between two tries and not before it: the head that is read is the one that the
            # next try builds on, and the less time lies between the two, the fewer tries are refused.
            if unanswered and (judgement := self._judge(fenced, conflicts, deadline)) is not None:
                return judgement
            if not staged.fits(self._judged):
                staged = self._store.stage(self._judged, sales, self._attempt_id)
            answer = self._store.commit(self._judged, staged, fenced, deadline)
            if isinstance(answer, Committed):
                self._table.remember(answer.state)
                return Landed(self._attempt_id, conflicts)
            unanswered = isinstance(answer, Unknown)
            conflicts += unanswered
            gave_up = GiveUp.OUT_OF_TIME if unanswered else GiveUp.STAGING_FAILED
        if unanswered and (judgement := self._judge(fenced, conflicts, deadline)) is not None:
            return judgement
        self._table.remember(None)
        return NotKnownToHaveLanded(gave_up, conflicts)

    def _staged_for(self, sales: Sequence[Sale]) -> StagedAppend:
        keys = [sale.key for sale in sales]
        if self._staged is None or self._staged[0] != keys:
            self._staged = (keys, self._store.stage(self._judged, sales, self._attempt_id))
        return self._staged[1]

    def _judge(self, fenced: Collection[int], conflicts: int, deadline: Deadline) -> AppendResult | None:
        """Judge a commit whose answer was not success, by what the table says now.

        None: it has not landed as of the head that was just read, whose compare-and-set makes every older request
        harmless.
        """
        try:
            state = self._table.load(deadline)
        except StoreUnavailable:
            self._table.remember(None)
            return NotKnownToHaveLanded(GiveUp.HEAD_UNREADABLE, conflicts)
        since_judged = ancestors_since(state.head, self._judged.head, state.snapshots)
        self._judged = state
        if since_judged.landed([self._attempt_id]) is not None:
            return Landed(self._attempt_id, conflicts)
        if since_judged.fences(self._attempt_id):
            return NotKnownToHaveLanded(GiveUp.FENCED, conflicts)
        if since_judged.landed(fenced) is not None:
            return NotKnownToHaveLanded(GiveUp.EARLIER_ATTEMPT_LANDED, conflicts)
        if not since_judged.complete:
            return NotKnownToHaveLanded(GiveUp.HISTORY_EXPIRED, conflicts)
        return None

    def _scan(self, state: TableState, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        if not sales:
            return ()
        if not deadline.allows(self._store.load_seconds):
            raise OutOfTime("No time is left to look the sales up in the table; they stay in the queue.")
        return self._store.scan(state, sales)


def _told_and_lacking(sales: Sequence[Sale], state: TableState) -> Mapping[SaleKey, Collection[str]]:
    lacks = state.lacks
    if not lacks:
        return {}
    told = {sale.key: [name for name in lacks if getattr(sale, name) is not None] for sale in sales}
    return {key: names for key, names in told.items() if names}
