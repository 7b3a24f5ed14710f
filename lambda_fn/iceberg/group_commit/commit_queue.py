"""The protocol between group commit (:mod:`lambda_fn.iceberg.group_commit`) and the queue in which attempts wait.

The queue saves work. Safety never depends on it: an entry that is lost, read late or read twice changes nothing,
because the table's history decides what has landed (docs/exactly-once.md, "Group commit").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lambda_fn.runtime.retry import Deadline


@dataclass(frozen=True)
class QueueEntry:
    """An attempt whose files are uploaded, and which any leader may land from now on.

    As of ``judged``, a snapshot id or NO_SNAPSHOT, the attempt has not landed. ``manifest`` is its manifest as text
    (:mod:`lambda_fn.iceberg.group_commit.member_manifest`). ``enlisted_at`` is in seconds since the Unix epoch.
    """

    attempt_id: int
    judged: int
    fenced: frozenset[int]
    manifest: str
    enlisted_at: float


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


@dataclass(frozen=True)
class Round:
    """What a leader found out: the attempts that have landed, each with its snapshot.

    ``settled`` are the attempts whose entries are of no more use. ``seconds`` is how long the round took, or None if
    nothing was committed.
    """

    landed: Mapping[int, int] = field(default_factory=dict)
    settled: Collection[int] = ()
    seconds: float | None = None


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

    def finish(self, lease: Lease, found: Round, deadline: Deadline) -> None:
        """Free one's own lease, tell the others what was found, and remove the entries that are settled.

        Does not change a lease that another attempt has taken since.
        """
        ...
