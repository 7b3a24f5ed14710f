"""The table's history, as far back as its snapshots are retained: the evidence for judging a commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from catalog_config.table_properties import FENCED_ATTEMPTS
from lambda_fn.ports import NO_SNAPSHOT

_FIRST_SEQUENCE_NUMBER: Final = 1


@dataclass(frozen=True, slots=True)
class SnapshotNode:
    """A snapshot with its parent, which is None for the table's first, and the attempts that it fences."""

    snapshot_id: int
    parent_id: int | None
    sequence_number: int
    fenced: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Ancestry:
    """A head and its ancestors, newest first, down to an older snapshot, which is left out.

    ``complete`` is False if the walk did not reach that snapshot. Then the nodes prove only what they contain.
    """

    nodes: tuple[SnapshotNode, ...]
    complete: bool

    def landed(self, attempts: Collection[int]) -> int | None:
        """Return the newest of the attempts that is in the ancestry, or None."""
        return next((node.snapshot_id for node in self.nodes if node.snapshot_id in attempts), None)

    def fences(self, attempt_id: int) -> bool:
        """Return whether a snapshot in the ancestry fences the attempt."""
        return any(attempt_id in node.fenced for node in self.nodes)


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


def fencing_properties(attempts: Collection[int]) -> dict[str, str]:
    """Return the summary properties of a snapshot that fences the attempts."""
    return {FENCED_ATTEMPTS: ",".join(str(attempt) for attempt in sorted(attempts))} if attempts else {}


def fenced_by(summary: Mapping[str, str]) -> frozenset[int]:
    """Return the attempts that a snapshot with this summary fences."""
    text = summary.get(FENCED_ATTEMPTS, "")
    return frozenset([int(attempt) for attempt in text.split(",") if attempt]) if text else frozenset()
