"""The table's history, as far back as its snapshots are retained: the evidence for judging a commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from catalog_config.table_properties import BACKFILL, FENCED_ATTEMPTS, LANDED_ATTEMPTS
from lambda_fn.ports import NO_SNAPSHOT, GiveUp

_FIRST_SEQUENCE_NUMBER: Final = 1


@dataclass(frozen=True, slots=True)
class SnapshotNode:
    """A snapshot with its parent, which is None for the table's first, and the attempts that it fences and lands.

    The attempt with the snapshot's own id is not among ``landed``. ``backfill``: it may have rows of sales whose writer
    made no claim.
    """

    snapshot_id: int
    parent_id: int | None
    sequence_number: int
    fenced: frozenset[int] = frozenset()
    landed: frozenset[int] = frozenset()
    backfill: bool = False


@dataclass(frozen=True)
class Ancestry:
    """A head and its ancestors, newest first, down to an older snapshot, which is left out.

    ``complete`` is False if the walk did not reach that snapshot. Then the nodes prove only what they contain.
    """

    nodes: tuple[SnapshotNode, ...]
    complete: bool

    def landed(self, attempts: Collection[int]) -> int | None:
        """Return the newest snapshot in the ancestry that landed one of the attempts, or None.

        An attempt has landed if it is the id of a snapshot, or if a snapshot lists it.
        """
        for node in self.nodes:
            if node.snapshot_id in attempts or not node.landed.isdisjoint(attempts):
                return node.snapshot_id
        return None

    def fences(self, attempt_id: int) -> bool:
        """Return whether a snapshot in the ancestry fences the attempt."""
        return any(attempt_id in node.fenced for node in self.nodes)

    @property
    def has_backfill(self) -> bool:
        """Whether a snapshot in the ancestry may have rows of sales whose writer made no claim."""
        return any(node.backfill for node in self.nodes)


def ancestors_since(head: int, older: int, snapshots: Mapping[int, SnapshotNode]) -> Ancestry:
    """Walk from ``head`` back to ``older``, a snapshot id or NO_SNAPSHOT.

    The walk is incomplete if a snapshot between the two has expired, or if ``older`` is not an ancestor of the head
    because the table was rolled back. NO_SNAPSHOT, the state before the table's first snapshot, is reached only through
    a snapshot with sequence number 1, the first that the Iceberg specification assigns ("Sequence Numbers").
    """
    walked: list[SnapshotNode] = []
    current = head
    while current != older:
        node = snapshots.get(current)
        if node is None:
            return Ancestry(tuple(walked), complete=False)
        walked.append(node)
        if node.parent_id is None:
            is_first = node.sequence_number <= _FIRST_SEQUENCE_NUMBER
            return Ancestry(tuple(walked), complete=older == NO_SNAPSHOT and is_first)
        current = node.parent_id
    return Ancestry(tuple(walked), complete=True)


def judge(
    attempt_id: int,
    fenced: Collection[int],
    judged: int,
    head: int,
    snapshots: Mapping[int, SnapshotNode],
    *,
    looked_up: bool = False,
) -> int | GiveUp | None:
    """Judge an attempt, which had not landed as of the snapshot ``judged``, from the history up to ``head``.

    ``looked_up``: the attempt has sales that only a look-up in the table, as of ``judged``, has shown to have no row.
    Returns the snapshot that landed it, or why it must not be committed any more. None means that it has not landed
    as of ``head``, and may be committed as a compare-and-set on it.
    """
    since_judged = ancestors_since(head, judged, snapshots)
    landed_in = since_judged.landed([attempt_id])
    if landed_in is not None:
        return landed_in
    if since_judged.fences(attempt_id):
        return GiveUp.FENCED
    if since_judged.landed(fenced) is not None:
        return GiveUp.EARLIER_ATTEMPT_LANDED
    if looked_up and since_judged.has_backfill:
        return GiveUp.BACKFILLED
    return None if since_judged.complete else GiveUp.HISTORY_EXPIRED


def attempt_properties(fenced: Collection[int], landed: Collection[int] = ()) -> dict[str, str]:
    """Return the summary properties of a snapshot that fences attempts, and lands others besides its own."""
    named = {FENCED_ATTEMPTS: fenced, LANDED_ATTEMPTS: landed}
    return {name: ",".join(map(str, sorted(attempts))) for name, attempts in named.items() if attempts}


def snapshot_node(
    snapshot_id: int, parent_id: int | None, sequence_number: int, summary: Mapping[str, str]
) -> SnapshotNode:
    """Return the node of a snapshot with this summary."""
    return SnapshotNode(
        snapshot_id,
        parent_id,
        sequence_number,
        fenced=_attempts(summary.get(FENCED_ATTEMPTS)),
        landed=_attempts(summary.get(LANDED_ATTEMPTS)),
        backfill=bool(summary.get(BACKFILL)),
    )


def _attempts(text: str | None) -> frozenset[int]:
    return frozenset([int(attempt) for attempt in text.split(",") if attempt]) if text else frozenset()
