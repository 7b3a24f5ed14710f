"""Group commit: whoever gets to commit commits for everybody who is waiting.

Step 7 of the protocol under contention (docs/exactly-once.md, "Group commit"). An attempt enlists once its files are
uploaded, and waits until a leader has landed it, or until it leads itself. A leader lists the manifests of all waiting
attempts in one snapshot, so that a table takes as many sales per commit as are waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol

from lambda_fn.errors import ColumnsMissing, StoreUnavailable
from lambda_fn.iceberg.append import Append
from lambda_fn.iceberg.group_commit.commit_queue import CommitQueue, Lease, QueueEntry, Round
from lambda_fn.iceberg.history import judge
from lambda_fn.iceberg.store import Committed, Staged, State, TableStore
from lambda_fn.ports import AppendResult, GiveUp, Landed, NotKnownToHaveLanded
from lambda_fn.runtime.retry import Deadline, Retry

LEASE_SECONDS: Final = 3.0
"""A leader that dies holds the others up for this long. One that takes longer is overtaken, which is safe."""
MERGE_SECONDS: Final = 10.0
"""A leader keeps the lease for this long at most while it merges manifests. Nobody commits meanwhile, and it lands."""
CLOCK_SKEW_SECONDS: Final = 5.0
"""A lease or an entry from further in the future comes from a wrong clock. It counts as free, or as too old."""
BUSY_SECONDS: Final = 5.0
"""So long after a leader took the lease, others are likely to want to commit as well."""
ENTRY_SECONDS: Final = 180.0
"""An older entry is not landed: catalogs other than S3 Tables may remove files that no snapshot references."""
MAX_MEMBERS: Final = 200
"""Keeps a snapshot's summary below 5 KB: every retained snapshot is part of the table's metadata."""
HISTORY_SECONDS: Final = 2.0
"""After this long without news an attempt looks at the history: its leader may have died before it could tell."""

# A leader waits a little for the attempts that the group before it has just released. Otherwise they would miss this
# group, and groups would be half as large. PostgreSQL's commit_delay does the same.
GATHER_SHARE: Final = 0.2
GATHER_SECONDS: Final = 0.2
# Once a group is due, its members look this often, and ever less often.
_LOOKS_PER_ROUND: Final = 12
_PAUSE_GROWTH: Final = 1.5
_GROWTH_LIMIT: Final = 16


class Contention(Protocol):
    """What the process remembers about other writers of the table."""

    def note_contention(self) -> None:
        """Remember for some seconds that others want to commit."""
        ...


@dataclass
class Group:
    """The entries of a queue, judged for one commit.

    ``members`` may land in the group, and fence ``fenced``. ``landed`` have landed already. ``hopeless`` never can.
    ``own`` is the leader's own entry, if it has one.
    """

    own: list[int] = field(default_factory=list)
    members: list[QueueEntry] = field(default_factory=list)
    fenced: frozenset[int] = frozenset()
    landed: dict[int, int] = field(default_factory=dict)
    hopeless: list[int] = field(default_factory=list)


class GroupCommit(Generic[State, Staged]):
    """Takes appends through the commit queue of one table.

    ``report_failure`` is called with the cause when the queue can't be used. The attempts then commit alone.
    """

    def __init__(
        self,
        store: TableStore[State, Staged],
        queue: CommitQueue,
        contention: Contention,
        retry: Retry,
        report_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._contention = contention
        self._retry = retry
        self._report_failure = report_failure
        self._clock = retry.clock
        self._kept: Lease | None = None

    def is_busy(self, deadline: Deadline) -> bool:
        """Return whether attempts lead or have just led, for a process that has not met another writer yet.

        Many new processes that first committed alone would overtake every leader.
        """
        try:
            lease = self._queue.lease(deadline)
        except StoreUnavailable as error:
            self._report_failure(str(error))
            return False
        now = self._clock.now()
        return _is_held(lease, now) or abs(now - lease.since) <= BUSY_SECONDS

    def run(self, append: Append[State, Staged], deadline: Deadline) -> AppendResult:
        """Land the append with a group, as its leader or as a member.

        If the queue cannot be used, the attempt commits alone: that is as safe. Raises ColumnsMissing.
        """
        try:
            return self._take_part(append, deadline)
        except ColumnsMissing:
            raise
        except StoreUnavailable as error:
            self._report_failure(str(error))
            return append.commit_alone(self._retry, deadline)

    def _take_part(self, append: Append[State, Staged], deadline: Deadline) -> AppendResult:
        enlisted = False
        judged_at = self._clock.monotonic()
        looks, seen = 0, -1
        while deadline.allows(self._store.commit_seconds + self._store.load_seconds):
            lease = self._queue.lease(deadline)
            if (result := self._act_on(lease, append, deadline)) is not None:
                return result
            without_news = self._clock.monotonic() - judged_at >= HISTORY_SECONDS
            if without_news and (result := append.reload(deadline)) is not None:
                return result
            if not enlisted or without_news:
                enlisted = self._enlist(append, deadline)
                judged_at = self._clock.monotonic()
            looks, seen = (looks + 1 if lease.number == seen else 0), lease.number
            self._clock.sleep(min(self._pause(lease, looks), max(0.0, deadline.remaining_seconds())))
        return append.give_up(deadline, may_have_landed=enlisted)

    def _act_on(self, lease: Lease, append: Append[State, Staged], deadline: Deadline) -> AppendResult | None:
        """Return the outcome if the lease tells it, or lead if it is free. Returns None if the attempt has to wait."""
        if append.attempt_id in lease.landed:
            return Landed(lease.landed[append.attempt_id], append.conflicts, group_size=0)
        # An attempt may own the lease without knowing it: the answer to its request was lost.
        if _is_held(lease, self._clock.now()) and lease.owner != append.attempt_id:
            self._contention.note_contention()
            return None
        own = self._queue.take(lease, append.attempt_id, LEASE_SECONDS, deadline)
        if own is None:
            return None
        try:
            return self._lead(own, append, deadline)
        except StoreUnavailable:
            # The others need not wait until the lease ends.
            self._finish(own, Round(), deadline)
            raise

    def _enlist(self, append: Append[State, Staged], deadline: Deadline) -> bool:
        """Upload the files and add the attempt to the queue. Returns whether all files could be uploaded."""
        append.stage_again_if_needed()
        if append.share(deadline) is not None:
            return False
        entry = QueueEntry(
            attempt_id=append.attempt_id,
            judged=append.judged.head,
            fenced=append.fenced,
            manifest=self._store.manifest_of(append.staged),
            enlisted_at=self._clock.now(),
            looked_up=append.looked_up,
        )
        self._queue.enlist(entry, deadline)
        return True

    def _pause(self, lease: Lease, looks: int) -> float:
        """Return how long to wait before the next look: until the group should have landed, then a fraction of it."""
        short = max(self._retry.first_seconds, lease.round_seconds / _LOOKS_PER_ROUND)
        left = lease.round_seconds - (self._clock.now() - lease.since)
        if looks == 0 and 0 < left <= lease.round_seconds:
            return min(HISTORY_SECONDS, left + self._retry.random.uniform(0.0, short))
        longest = min(self._retry.longest_seconds, short * _PAUSE_GROWTH ** min(looks, _GROWTH_LIMIT))
        return longest * self._retry.random.uniform(0.5, 1.0)

    def _lead(self, lease: Lease, append: Append[State, Staged], deadline: Deadline) -> AppendResult | None:
        """Commit for everybody who is waiting. Returns None if another attempt leads now, or no time is left."""
        started = self._clock.monotonic()
        if len(lease.landed) > 1:
            self._clock.sleep(min(GATHER_SECONDS, GATHER_SHARE * lease.round_seconds))
        for _ in self._retry.tries(deadline, self._store.commit_seconds + self._store.load_seconds):
            entries = self._queue.entries(deadline)
            # The queue before the head: an entry that was judged on a newer head would be of no use.
            judgement = append.reload(deadline)
            is_unreadable = isinstance(judgement, NotKnownToHaveLanded) and judgement.cause is GiveUp.HEAD_UNREADABLE
            group = Group() if is_unreadable else self._judge(entries, append)
            if judgement is not None:
                settled = [*group.landed, *group.hopeless, *group.own]
                self._finish(lease, Round(group.landed, settled), deadline)
                return judgement
            members = [(member.attempt_id, member.manifest) for member in group.members]
            result = append.commit(members, deadline, group.fenced)
            if isinstance(result, Committed):
                landed = group.landed | dict.fromkeys((attempt for attempt, _ in members), append.attempt_id)
                settled = [*landed, *group.hopeless, *group.own]
                keep_seconds = MERGE_SECONDS if self._store.merge_is_due(result.state) else 0.0
                found = Round(landed, settled, self._clock.monotonic() - started, keep_seconds)
                finished = self._finish(lease, found, deadline)
                self._kept = finished if keep_seconds else None
                if members:
                    self._contention.note_contention()
                return Landed(append.attempt_id, append.conflicts, group_size=1 + len(members))
            extended = self._queue.take(lease, append.attempt_id, LEASE_SECONDS, deadline)
            if extended is None:
                return None
            lease = extended
        self._finish(lease, Round(), deadline)
        return None

    def release(self, deadline: Deadline) -> None:
        """Free the lease if this process has kept it as a leader, to merge manifests."""
        kept, self._kept = self._kept, None
        if kept is not None:
            self._finish(kept, Round(), deadline)

    def _finish(self, lease: Lease, found: Round, deadline: Deadline) -> Lease | None:
        """Tell the others. If that fails, the lease ends by itself, and the history tells them."""
        with suppress(StoreUnavailable):
            return self._queue.finish(lease, found, deadline)
        return None

    def _judge(self, entries: Collection[QueueEntry], append: Append[State, Staged]) -> Group:
        return judge_entries(entries, append.attempt_id, append.fenced, append.judged, self._store, self._clock.now())


def _is_held(lease: Lease, now: float) -> bool:
    return lease.since - CLOCK_SKEW_SECONDS <= now < lease.until


def judge_entries(
    entries: Collection[QueueEntry],
    leader: int,
    leader_fences: frozenset[int],
    state: State,
    store: TableStore[State, Staged],
    now: float,
) -> Group:
    """Judge each entry against the history between its own judged head and the state's head.

    Each rule prevents a sale from landing twice, or from becoming undecidable (docs/exactly-once.md, "Group commit").
    """
    group, together = Group(), {leader}
    fenced = set(leader_fences)
    for entry in _oldest_first(entries):
        if entry.attempt_id == leader:
            group.own.append(leader)
            continue
        verdict = judge(
            entry.attempt_id, entry.fenced, entry.judged, state.head, state.snapshots, looked_up=entry.looked_up
        )
        if isinstance(verdict, GiveUp):
            group.hopeless.append(entry.attempt_id)
        elif verdict is not None:
            group.landed[entry.attempt_id] = verdict
        elif (
            -CLOCK_SKEW_SECONDS <= now - entry.enlisted_at <= ENTRY_SECONDS
            and store.can_list(state, entry.manifest)
            and entry.attempt_id not in fenced | together
            and entry.fenced.isdisjoint(together)
            and len(group.members) < MAX_MEMBERS
        ):
            group.members.append(entry)
            together.add(entry.attempt_id)
            fenced |= entry.fenced
    group.fenced = frozenset(fenced) - leader_fences
    return group


def _oldest_first(entries: Collection[QueueEntry]) -> Sequence[QueueEntry]:
    return sorted(entries, key=lambda entry: entry.enlisted_at)
