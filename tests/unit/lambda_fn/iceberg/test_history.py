"""The walk over a table's history: told complete only when nothing between head and pin is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_fn.iceberg.history import (
    FENCED_ATTEMPTS,
    Ancestry,
    SnapshotNode,
    ancestors_since,
    read_fenced,
    write_fenced,
)
from lambda_fn.ports import NO_SNAPSHOT

FIRST = SnapshotNode(10, None, 1)
SECOND = SnapshotNode(20, 10, 2, frozenset({7, 8}))
THIRD = SnapshotNode(30, 20, 3, frozenset({9}))


def table(*nodes: SnapshotNode) -> dict[int, SnapshotNode]:
    return {node.snapshot_id: node for node in nodes}


def test_ancestors_come_newest_first_and_without_the_pin() -> None:
    assert ancestors_since(30, 10, table(FIRST, SECOND, THIRD)) == Ancestry((THIRD, SECOND), complete=True)


def test_the_head_itself_has_no_ancestors_since() -> None:
    assert ancestors_since(30, 30, table(FIRST, SECOND, THIRD)) == Ancestry((), complete=True)
    assert ancestors_since(30, 30, {}) == Ancestry((), complete=True)
    assert ancestors_since(NO_SNAPSHOT, NO_SNAPSHOT, {}) == Ancestry((), complete=True)


def test_back_to_the_empty_table() -> None:
    assert ancestors_since(20, NO_SNAPSHOT, table(FIRST, SECOND)) == Ancestry((SECOND, FIRST), complete=True)


def test_a_pin_may_have_expired_itself() -> None:
    assert ancestors_since(30, 10, table(SECOND, THIRD)) == Ancestry((THIRD, SECOND), complete=True)


def test_a_snapshot_between_that_has_expired_makes_it_incomplete() -> None:
    assert ancestors_since(30, 10, table(FIRST, THIRD)) == Ancestry((THIRD,), complete=False)
    assert ancestors_since(30, NO_SNAPSHOT, table(SECOND, THIRD)) == Ancestry((THIRD, SECOND), complete=False)


def test_a_head_that_is_not_there_makes_it_incomplete() -> None:
    assert ancestors_since(40, 10, table(FIRST, SECOND, THIRD)) == Ancestry((), complete=False)


def test_a_table_that_was_rolled_back_does_not_reach_its_pin() -> None:
    assert ancestors_since(20, 30, table(FIRST, SECOND, THIRD)) == Ancestry((SECOND, FIRST), complete=False)
    assert ancestors_since(20, 30, table(FIRST, SECOND)) == Ancestry((SECOND, FIRST), complete=False)


def test_an_oldest_snapshot_that_lost_its_parent_is_not_the_tables_first() -> None:
    orphan = replace(SECOND, parent_id=None)
    assert ancestors_since(30, NO_SNAPSHOT, table(orphan, THIRD)) == Ancestry((THIRD, orphan), complete=False)


def test_the_newest_landed_attempt_and_fences() -> None:
    ancestry = ancestors_since(30, NO_SNAPSHOT, table(FIRST, SECOND, THIRD))
    assert ancestry.landed({10, 20, 99}) == 20
    assert ancestry.landed({10}) == 10
    assert ancestry.landed({99}) is None
    assert ancestry.landed(()) is None
    assert [attempt for attempt in range(6, 11) if ancestry.fences(attempt)] == [7, 8, 9]
    assert not Ancestry((), complete=True).fences(7)


# --- fences in a summary ---------------------------------------------------------------------------------------------


def test_fences_as_text() -> None:
    assert write_fenced({9223372036854775807, 7}) == {FENCED_ATTEMPTS: "7,9223372036854775807"}
    assert write_fenced(()) == {}
    assert read_fenced({"operation": "append"}) == frozenset()
    assert read_fenced({FENCED_ATTEMPTS: ""}) == frozenset()


@given(st.frozensets(st.integers(1, 2**63 - 1)))
def test_fences_are_read_as_written(attempts: frozenset[int]) -> None:
    assert read_fenced({"operation": "append", **write_fenced(attempts)}) == attempts


# --- any history -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """All that ever happened to a table, and what is left of it."""

    every: dict[int, SnapshotNode]
    left: dict[int, SnapshotNode]
    head: int

    def true_ancestors(self) -> list[int]:
        """Return the head and its ancestors, newest first, as they really were."""
        line = []
        current: int | None = self.head
        while current is not None and current != NO_SNAPSHOT:
            line.append(current)
            current = self.every[current].parent_id
        return line


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    """Commits, each on the current head; now and then a roll-back to an earlier snapshot; then expiry."""
    ids = draw(st.lists(st.integers(1, 2**63 - 1), unique=True, max_size=12))
    every: dict[int, SnapshotNode] = {}
    head = NO_SNAPSHOT
    for sequence_number, snapshot_id in enumerate(ids, start=1):
        if every and draw(st.integers(0, 5)) == 0:
            head = draw(st.sampled_from(sorted(every)))
        fenced = draw(st.frozensets(st.integers(1, 9), max_size=3))
        parent = None if head == NO_SNAPSHOT else head
        every[snapshot_id] = SnapshotNode(snapshot_id, parent, sequence_number, fenced)
        head = snapshot_id
    expired = draw(st.sets(st.sampled_from(ids), max_size=len(ids))) - {head} if ids else set()
    left = {snapshot_id: node for snapshot_id, node in every.items() if snapshot_id not in expired}
    if draw(st.booleans()):
        # Some engines also forget the id of a parent that has expired.
        left = {key: replace(node, parent_id=None) if node.parent_id in expired else node for key, node in left.items()}
    return Past(every, left, head)


@settings(max_examples=400)
@given(pasts(), st.data())
def test_a_complete_walk_misses_nothing(past: Past, data: st.DataObject) -> None:
    known = data.draw(st.sampled_from([NO_SNAPSHOT, *past.every, 2**63]))
    line = past.true_ancestors()
    ancestry = ancestors_since(past.head, known, past.left)
    walked = [node.snapshot_id for node in ancestry.nodes]
    assert walked == line[: len(walked)]
    assert known not in walked
    since = line[: line.index(known)] if known in line else line
    if ancestry.complete:
        assert known in line or known == NO_SNAPSHOT
        assert walked == since
        attempts = data.draw(st.sets(st.sampled_from([1, *past.every])))
        assert ancestry.landed(attempts) == next((found for found in since if found in attempts), None)
        fences = {attempt for attempt in range(10) if any(attempt in past.every[found].fenced for found in since)}
        assert {attempt for attempt in range(10) if ancestry.fences(attempt)} == fences
    elif known in line or known == NO_SNAPSHOT:
        # It gives up only for a reason: a snapshot on the way, or the way itself, has been forgotten.
        on_the_way = [past.left.get(found) for found in since]
        assert any(node is None or node != past.every[node.snapshot_id] for node in on_the_way)


@pytest.mark.parametrize("sequence_number", [0, 1])
def test_the_first_snapshot_is_known_by_its_sequence_number(sequence_number: int) -> None:
    first = replace(FIRST, sequence_number=sequence_number)
    assert ancestors_since(10, NO_SNAPSHOT, table(first)).complete
    assert not ancestors_since(10, NO_SNAPSHOT, table(replace(FIRST, sequence_number=2))).complete
