"""The table's history, as far as its snapshots are retained: what the judgement of a commit reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from lambda_fn.ports import NO_SNAPSHOT

FENCED_ATTEMPTS: Final = "carousel.fenced-attempts"
"""Summary property of a snapshot: the attempts that it has taken sales over from, separated by commas."""

_FIRST_SEQUENCE_NUMBER: Final = 1


@dataclass(frozen=True)
class SnapshotNode:
    """One snapshot: its parent (None for the table's first), and the attempts that it fences."""

    snapshot_id: int
    parent_id: int | None
    sequence_number: int
    fenced: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Ancestry:
    """Ancestors of a head, newest first; ``complete`` tells whether the walk reached the snapshot it was to stop at."""

    nodes: tuple[SnapshotNode, ...]
    complete: bool

    def landed(self, attempts: Collection[int]) -> int | None:
        """Return the newest of the attempts that is among the ancestors."""
        return next((node.snapshot_id for node in self.nodes if node.snapshot_id in attempts), None)

    def fences(self, attempt_id: int) -> bool:
        """Whether one of the ancestors has fenced the attempt."""
        return any(attempt_id in node.fenced for node in self.nodes)


def ancestors_since(head: int, known: int, nodes: Mapping[int, SnapshotNode]) -> Ancestry:
    """Walk from the head back to ``known``, leaving ``known`` itself out.

    The walk is incomplete when a snapshot on the way has expired, or when ``known`` is not an ancestor of the head
    (the table was rolled back). A table that had no snapshot is reached only through its very first one: sequence
    numbers start at 1 (Iceberg specification, "Sequence Numbers").
    """
    walked: list[SnapshotNode] = []
    current = head
    while current != known:
        node = nodes.get(current)
        if node is None:
            return Ancestry(tuple(walked), complete=False)
        walked.append(node)
        if node.parent_id is None:
            reached = known == NO_SNAPSHOT and node.sequence_number <= _FIRST_SEQUENCE_NUMBER
            return Ancestry(tuple(walked), complete=reached)
        current = node.parent_id
    return Ancestry(tuple(walked), complete=True)


def write_fenced(attempts: Collection[int]) -> dict[str, str]:
    """Return the summary properties that fence attempts."""
    return {FENCED_ATTEMPTS: ",".join(str(attempt) for attempt in sorted(attempts))} if attempts else {}


def read_fenced(summary: Mapping[str, str]) -> frozenset[int]:
    """Return the attempts that a snapshot's summary fences."""
    text = summary.get(FENCED_ATTEMPTS, "")
    return frozenset(int(attempt) for attempt in text.split(",") if attempt)
