"""A commit queue in memory, which records what it is asked, and which can be down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lambda_fn.errors import StoreUnavailable
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry, Round
from lambda_fn.runtime.retry import Clock, Deadline


class InMemoryCommitQueue:
    """A queue that all writers of a test share.

    ``stored`` are the entries and ``current`` is the lease; a test may read and change both. ``calls`` are the names
    of the methods that were called. ``down`` are the methods that raise StoreUnavailable. ``before`` are actions that
    run once each, before the next call of a method. A call after its deadline is an error.
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
        self._called("enlist", deadline)
        self.stored[entry.attempt_id] = entry

    def entries(self, deadline: Deadline) -> Sequence[QueueEntry]:
        """Return the entries."""
        self._called("entries", deadline)
        return list(self.stored.values())

    def lease(self, deadline: Deadline) -> Lease:
        """Return the lease as it is now."""
        self._called("lease", deadline)
        return self.current

    def take(self, lease: Lease, attempt_id: int, seconds: float, deadline: Deadline) -> Lease | None:
        """Take the lease for this long, if it has not changed since it was read. Returns None if it has."""
        self._called("take", deadline)
        taken = lease.taken(attempt_id, self._clock.now(), seconds)
        return taken if self._change(lease, taken) else None

    def finish(self, lease: Lease, found: Round, deadline: Deadline) -> Lease | None:
        """Tell the others what was found, free one's own lease or keep it, and remove the entries that are settled."""
        self._called("finish", deadline)
        for attempt_id in found.settled:
            self.stored.pop(attempt_id, None)
        changed = lease.after(found, self._clock.now())
        return changed if self._change(lease, changed) else None

    def _change(self, read: Lease, new: Lease) -> bool:
        if self.current.number != read.number:
            return False
        self.current = new
        return True

    def _called(self, name: str, deadline: Deadline) -> None:
        assert deadline.allows(0.0), "a request after its deadline"
        self.calls.append(name)
        if actions := self.before.get(name):
            actions.pop(0)()
        if name in self.down:
            raise StoreUnavailable("The commit queue is down.")
