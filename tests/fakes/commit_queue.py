"""A commit queue in memory, which records what it is asked, and which can be down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from lambda_fn.errors import StoreUnavailable
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry, Round
from lambda_fn.runtime.retry import Clock, Deadline

MAX_LANDED: Final = 200


class InMemoryCommitQueue:
    """A queue that all writers of a test share.

    ``stored`` are the entries and ``current`` is the lease; a test may read and change both. ``calls`` are the names
    of the methods that were called. ``down`` are the methods that raise StoreUnavailable. ``before`` are actions that
    run once each, before the next call of a method.
    """

    def __init__(self, clock: Clock) -> None:
        self.stored: dict[int, QueueEntry] = {}
        self.current = Lease()
        self.calls: list[str] = []
        self.down: set[str] = set()
        self.before: dict[str, list[Callable[[], object]]] = {}
        self._clock = clock

    def enlist(self, entry: QueueEntry, deadline: Deadline) -> None:
        """Add an entry. It replaces an earlier one of the same attempt."""
        self._called("enlist")
        self.stored[entry.attempt_id] = entry

    def entries(self, deadline: Deadline) -> Sequence[QueueEntry]:
        """Return the entries."""
        self._called("entries")
        return list(self.stored.values())

    def lease(self, deadline: Deadline) -> Lease:
        """Return the lease as it is now."""
        self._called("lease")
        return self.current

    def take(self, lease: Lease, attempt_id: int, seconds: float, deadline: Deadline) -> Lease | None:
        """Take the lease for this long, if it has not changed since it was read. Returns None if it has."""
        self._called("take")
        now = self._clock.now()
        taken = replace(lease, number=lease.number + 1, owner=attempt_id, since=now, until=now + seconds)
        return taken if self._change(lease, taken) else None

    def finish(self, lease: Lease, found: Round, deadline: Deadline) -> None:
        """Free one's own lease, tell the others what was found, and remove the entries that are settled."""
        self._called("finish")
        landed = dict(lease.landed) | dict(found.landed)
        freed = replace(
            lease,
            number=lease.number + 1,
            until=0.0,
            round_seconds=lease.round_seconds if found.seconds is None else found.seconds,
            landed=dict(islice(landed.items(), max(0, len(landed) - MAX_LANDED), None)),
        )
        self._change(lease, freed)
        for attempt_id in found.settled:
            self.stored.pop(attempt_id, None)

    def _change(self, read: Lease, new: Lease) -> bool:
        if self.current.number != read.number:
            return False
        self.current = new
        return True

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if actions := self.before.get(name):
            actions.pop(0)()
        if name in self.down:
            raise StoreUnavailable("The commit queue is down.")
