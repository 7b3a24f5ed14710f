"""The protocol between group commit (:mod:`lambda_fn.iceberg.group_commit`) and the queue in which attempts wait.

The queue saves work. Safety never depends on it: an entry that is lost, read late or read twice changes nothing,
because the table's history decides what has landed (docs/exactly-once.md, "Group commit").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from lambda_fn.runtime.retry import Deadline

MAX_LANDED: Final = 64
"""How many attempts a lease names as landed, or all of the last group. Others find themselves in the table's history.

Every look at the lease reads them, and every change is billed by the item's size.
"""


@dataclass(frozen=True)
class QueueEntry:
    """An attempt whose files are uploaded, and which any leader may land from now on.

    As of ``judged``, a snapshot id or NO_SNAPSHOT, the attempt has not landed. ``manifest`` is its manifest as text
    (:mod:`lambda_fn.iceberg.group_commit.member_manifest`). ``enlisted_at`` is in seconds since the Unix epoch.
    ``looked_up``: some of its sales were looked up in the table, as of ``judged``.
    """

    attempt_id: int
    judged: int
    fenced: frozenset[int]
    manifest: str
    enlisted_at: float
    looked_up: bool = False


@dataclass(frozen=True)
class Lease:
    """Who commits for the others, as it was read.

    ``number`` increases with every change. The lease is free from ``until`` on. ``since`` and ``until`` are in seconds
    since the Unix epoch; ``round_seconds`` is how long the last leader took. ``landed`` maps the attempts of the last
    groups to the snapshots that landed them.
    """

    number: int = 0
    owner: int = 0
    since: float = 0.0
    until: float = 0.0
    round_seconds: float = 0.0
    landed: Mapping[int, int] = field(default_factory=dict)

    def taken(self, attempt_id: int, now: float, seconds: float) -> Lease:
        """Return the lease once the attempt has taken it for this long."""
        return replace(self, number=self.number + 1, owner=attempt_id, since=now, until=now + seconds)

    def after(self, found: Round, now: float) -> Lease:
        """Return the lease after its owner's round: it names what has landed, and is free unless the owner keeps it."""
        landed = dict(self.landed) | dict(found.landed)
        dropped = len(landed) - max(MAX_LANDED, len(found.landed))
        return replace(
            self,
            number=self.number + 1,
            until=now + found.keep_seconds if found.keep_seconds else 0.0,
            round_seconds=self.round_seconds if found.seconds is None else found.seconds,
            landed=dict(islice(landed.items(), max(0, dropped), None)),
        )


@dataclass(frozen=True)
class Round:
    """What a leader found out: the attempts that have landed, each with its snapshot.

    ``settled`` are the attempts whose entries are of no more use. ``seconds`` is how long the round took, or None if
    nothing was committed. The leader keeps the lease for ``keep_seconds``.
    """

    landed: Mapping[int, int] = field(default_factory=dict)
    settled: Collection[int] = ()
    seconds: float | None = None
    keep_seconds: float = 0.0


class CommitQueue(Protocol):
    """The attempts that wait for a leader, and the leader's lease. Every method raises StoreUnavailable."""

    def enlist(self, entry: QueueEntry, deadline: Deadline) -> None:
        """Add an entry. It replaces an earlier one of the same attempt."""
        ...

    def entries(self, deadline: Deadline) -> Sequence[QueueEntry]:
        """Return the entries, as many as fit into one answer."""
        ...

    def lease(self, deadline: Deadline) -> Lease:
        """Return the lease as it is now."""
        ...

    def take(self, lease: Lease, attempt_id: int, seconds: float, deadline: Deadline) -> Lease | None:
        """Take the lease for this long, if it has not changed since it was read. Returns None if it has."""
        ...

    def finish(self, lease: Lease, found: Round, deadline: Deadline) -> Lease | None:
        """Tell the others what was found, free one's own lease or keep it, and remove the entries that are settled.

        Returns the lease as it is then. Returns None, and does not change it, if another attempt has taken it since.
        """
        ...
