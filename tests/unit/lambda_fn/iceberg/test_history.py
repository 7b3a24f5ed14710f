"""The walk over a table's history is complete only if no snapshot on its path is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_config.table_properties import BACKFILL, FENCED_ATTEMPTS, LANDED_ATTEMPTS
from lambda_fn.iceberg.history import (
    Ancestry,
    SnapshotNode,
    ancestors_since,
    attempt_properties,
    judge,
    snapshot_node,
)
from lambda_fn.ports import NO_SNAPSHOT, GiveUp

FIRST = SnapshotNode(10, None, 1)
SECOND = SnapshotNode(20, 10, 2, frozenset({7, 8}))
THIRD = SnapshotNode(30, 20, 3, frozenset({9}))


def table(*nodes: SnapshotNode) -> dict[int, SnapshotNode]:
    return {node.snapshot_id: node for node in nodes}


def test_ancestors_are_newest_first_and_exclude_the_older_snapshot() -> None:
    assert ancestors_since(30, 10, table(FIRST, SECOND, THIRD)) == Ancestry((THIRD, SECOND), complete=True)


def test_nothing_has_happened_since_the_head_itself() -> None:
    assert ancestors_since(30, 30, table(FIRST, SECOND, THIRD)) == Ancestry((), complete=True)
    assert ancestors_since(30, 30, {}) == Ancestry((), complete=True)
    assert ancestors_since(NO_SNAPSHOT, NO_SNAPSHOT, {}) == Ancestry((), complete=True)


def test_a_walk_to_the_empty_table_is_complete() -> None:
    assert ancestors_since(20, NO_SNAPSHOT, table(FIRST, SECOND)) == Ancestry((SECOND, FIRST), complete=True)


def test_a_walk_is_complete_although_the_older_snapshot_has_expired() -> None:
    assert ancestors_since(30, 10, table(SECOND, THIRD)) == Ancestry((THIRD, SECOND), complete=True)


def test_a_walk_is_incomplete_if_a_snapshot_on_its_path_has_expired() -> None:
    assert ancestors_since(30, 10, table(FIRST, THIRD)) == Ancestry((THIRD,), complete=False)
    assert ancestors_since(30, NO_SNAPSHOT, table(SECOND, THIRD)) == Ancestry((THIRD, SECOND), complete=False)


def test_a_walk_is_incomplete_if_the_head_is_missing() -> None:
    assert ancestors_since(40, 10, table(FIRST, SECOND, THIRD)) == Ancestry((), complete=False)


def test_a_walk_is_incomplete_if_the_table_was_rolled_back() -> None:
    assert ancestors_since(20, 30, table(FIRST, SECOND, THIRD)) == Ancestry((SECOND, FIRST), complete=False)
    assert ancestors_since(20, 30, table(FIRST, SECOND)) == Ancestry((SECOND, FIRST), complete=False)


def test_a_snapshot_that_lost_its_parent_is_not_the_tables_first() -> None:
    orphan = replace(SECOND, parent_id=None)
    assert ancestors_since(30, NO_SNAPSHOT, table(orphan, THIRD)) == Ancestry((THIRD, orphan), complete=False)


def test_the_ancestry_shows_the_newest_landed_attempt_and_the_fences() -> None:
    ancestry = ancestors_since(30, NO_SNAPSHOT, table(FIRST, SECOND, THIRD))
    assert ancestry.landed({10, 20, 99}) == 20
    assert ancestry.landed({10}) == 10
    assert ancestry.landed({99}) is None
    assert ancestry.landed(()) is None
    assert [attempt for attempt in range(6, 11) if ancestry.fences(attempt)] == [7, 8, 9]
    assert not Ancestry((), complete=True).fences(7)


# --- fences in a summary ---------------------------------------------------------------------------------------------


def test_attempts_are_text_in_the_summary() -> None:
    assert attempt_properties({9223372036854775807, 7}) == {FENCED_ATTEMPTS: "7,9223372036854775807"}
    assert attempt_properties((), {9, 8}) == {LANDED_ATTEMPTS: "8,9"}
    assert attempt_properties(()) == {}
    assert snapshot_node(1, None, 1, {"operation": "append"}) == SnapshotNode(1, None, 1)
    assert snapshot_node(1, None, 1, {FENCED_ATTEMPTS: "", LANDED_ATTEMPTS: ""}) == SnapshotNode(1, None, 1)


@given(st.frozensets(st.integers(1, 2**63 - 1)), st.frozensets(st.integers(1, 2**63 - 1)))
def test_attempts_read_back_unchanged(fenced: frozenset[int], landed: frozenset[int]) -> None:
    summary = {"operation": "append", **attempt_properties(fenced, landed)}
    assert snapshot_node(3, 2, 1, summary) == SnapshotNode(3, 2, 1, fenced, landed)


# --- the judgement of an attempt -------------------------------------------------------------------------------------


def test_an_attempt_has_landed_if_a_snapshot_has_its_id_or_lists_it() -> None:
    group = SnapshotNode(20, 10, 2, landed=frozenset({7}))
    nodes = table(FIRST, group)
    assert judge(20, (), 10, 20, nodes) == 20
    assert judge(7, (), 10, 20, nodes) == 20
    assert judge(8, (), 10, 20, nodes) is None


def test_an_attempt_gives_up_if_it_is_fenced_or_if_one_that_it_fences_has_landed() -> None:
    group = SnapshotNode(20, 10, 2, fenced=frozenset({8}), landed=frozenset({7}))
    nodes = table(FIRST, group)
    assert judge(8, (), 10, 20, nodes) is GiveUp.FENCED
    assert judge(9, {7}, 10, 20, nodes) is GiveUp.EARLIER_ATTEMPT_LANDED
    assert judge(9, {6}, 10, 20, nodes) is None
    assert judge(9, {7}, 20, 20, nodes) is None


def test_an_attempt_gives_up_if_the_history_no_longer_reaches_back() -> None:
    assert judge(6, (), 10, 30, table(THIRD)) is GiveUp.HISTORY_EXPIRED
    assert judge(30, (), 10, 30, table(THIRD)) == 30


# --- any history -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """A table's whole history, and the snapshots that are retained."""

    every: dict[int, SnapshotNode]
    retained: dict[int, SnapshotNode]
    head: int

    def true_ancestors(self) -> list[int]:
        """Return the head and all its ancestors, newest first."""
        ancestors = []
        current: int | None = self.head
        while current is not None and current != NO_SNAPSHOT:
            ancestors.append(current)
            current = self.every[current].parent_id
        return ancestors


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    """Commits on the current head, with an occasional rollback to an earlier snapshot; then expiry."""
    ids = draw(st.lists(st.integers(1, 2**63 - 1), unique=True, max_size=12))
    every: dict[int, SnapshotNode] = {}
    head = NO_SNAPSHOT
    for sequence_number, snapshot_id in enumerate(ids, start=1):
        if every and draw(st.integers(0, 5)) == 0:
            head = draw(st.sampled_from(sorted(every)))
        fenced = draw(st.frozensets(st.integers(1, 9), max_size=3))
        parent = None if head == NO_SNAPSHOT else head
        listed = draw(st.frozensets(st.integers(11, 19), max_size=2))
        every[snapshot_id] = SnapshotNode(snapshot_id, parent, sequence_number, fenced, listed)
        head = snapshot_id
    expired = draw(st.sets(st.sampled_from(ids), max_size=len(ids))) - {head} if ids else set()
    retained = {snapshot_id: node for snapshot_id, node in every.items() if snapshot_id not in expired}
    if draw(st.booleans()):
        # Some engines also forget the id of a parent that has expired.
        retained = {
            key: replace(node, parent_id=None) if node.parent_id in expired else node for key, node in retained.items()
        }
    return Past(every, retained, head)


@settings(max_examples=400)
@given(pasts(), st.data())
def test_a_complete_walk_misses_no_snapshot(past: Past, data: st.DataObject) -> None:
    older = data.draw(st.sampled_from([NO_SNAPSHOT, *past.every, 2**63]))
    true_ancestors = past.true_ancestors()
    ancestry = ancestors_since(past.head, older, past.retained)
    walked = [node.snapshot_id for node in ancestry.nodes]
    assert walked == true_ancestors[: len(walked)]
    assert older not in walked
    since = true_ancestors[: true_ancestors.index(older)] if older in true_ancestors else true_ancestors
    if ancestry.complete:
        assert older in true_ancestors or older == NO_SNAPSHOT
        assert walked == since
        attempts = data.draw(st.sets(st.sampled_from([1, *range(11, 20), *past.every])))
        landing = (found for found in since if {found, *past.every[found].landed} & attempts)
        assert ancestry.landed(attempts) == next(landing, None)
        fences = {attempt for attempt in range(10) if any(attempt in past.every[found].fenced for found in since)}
        assert {attempt for attempt in range(10) if ancestry.fences(attempt)} == fences
    elif older in true_ancestors or older == NO_SNAPSHOT:
        # A walk is incomplete only if a snapshot on its path has expired, or has lost the id of its parent.
        path = [past.retained.get(found) for found in since]
        assert any(node is None or node != past.every[node.snapshot_id] for node in path)


@pytest.mark.parametrize("sequence_number", [0, 1])
def test_the_sequence_number_identifies_the_first_snapshot(sequence_number: int) -> None:
    first = replace(FIRST, sequence_number=sequence_number)
    assert ancestors_since(10, NO_SNAPSHOT, table(first)).complete
    assert not ancestors_since(10, NO_SNAPSHOT, table(replace(FIRST, sequence_number=2))).complete


@pytest.mark.parametrize(
    ("judged", "looked_up", "verdict"), [(20, True, GiveUp.BACKFILLED), (20, False, None), (30, True, None)]
)
def test_only_a_look_up_before_a_backfill_makes_an_attempt_give_up(
    judged: int, looked_up: bool, verdict: GiveUp | None
) -> None:
    history = table(FIRST, SECOND, snapshot_node(30, 20, 3, {BACKFILL: "true"}))
    assert judge(40, (), judged, 30, history, looked_up=looked_up) is verdict


def test_an_attempt_that_landed_before_a_backfill_has_landed() -> None:
    history = table(FIRST, SECOND, snapshot_node(30, 20, 3, {BACKFILL: "true"}))
    assert judge(20, (), 10, 30, history, looked_up=True) == 20
