"""Which entries of the commit queue may land in a group, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lambda_fn.iceberg.group_commit.commit_queue import QueueEntry
from lambda_fn.iceberg.group_commit.group import ENTRY_SECONDS, MAX_MEMBERS, Group, judge_entries
from lambda_fn.ports import NO_SNAPSHOT
from tests.unit.lambda_fn.iceberg.table_store import State, Store, fencing, landing, table

LEADER = 100
NOW = 1000.0
HEAD = table(1, 2, 3)


def entry(attempt_id: int, *fenced: int, judged: int = 3, **changes: object) -> QueueEntry:
    """An entry of an attempt that was judged on the head, with files of schema 0."""
    given = QueueEntry(attempt_id, judged, frozenset(fenced), f"sale-{attempt_id} 0", NOW)
    return replace(given, **changes)  # type: ignore[arg-type]


def judged(*entries: QueueEntry, state: State = HEAD, leader_fences: Sequence[int] = ()) -> Group:
    return judge_entries(entries, LEADER, frozenset(leader_fences), state, Store([state]), NOW)


def members(group: Group) -> list[int]:
    return [member.attempt_id for member in group.members]


def test_an_empty_queue_is_a_group_of_the_leader_alone() -> None:
    assert judged() == Group()


def test_entries_that_break_no_rule_are_members() -> None:
    first, second = entry(11), entry(12)
    assert judged(first, second) == Group(members=[first, second])


def test_the_leaders_own_entry_is_no_member() -> None:
    assert judged(entry(LEADER), entry(11)) == Group(own=[LEADER], members=[entry(11)])


# --- the history between the entry's judged head and the head --------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "snapshot"),
    [
        (table(1, 2, 3, 11), 11),
        (table(1, 2, 3, 11, 4), 11),
        (table(1, 2, 3, landing(4, 10, 11)), 4),
        (table(1, 2, 3, landing(4, 11), 5), 4),
        (table(1, 2, 3, 11, 4, expired={3}), 11),
        (table(1, 2, 3, landing(4, 11), fencing(5, 11)), 4),
    ],
)
def test_an_attempt_that_has_landed_is_no_member_and_is_told(state: State, snapshot: int) -> None:
    assert judged(entry(11), state=state) == Group(landed={11: snapshot})


@pytest.mark.parametrize(
    ("state", "rule"),
    [
        (table(1, 2, 3, fencing(4, 11)), "fenced"),
        (table(1, 2, 3, fencing(4, 9, 11), 5), "fenced"),
        (table(1, 2, 3, 9), "an attempt that it fences is a snapshot"),
        (table(1, 2, 3, landing(4, 9), 5), "an attempt that it fences was landed by a leader"),
        (table(1, 2, 3, 4, 5, expired={3, 4}), "the history does not reach back"),
        (table(1, 2), "the table was rolled back"),
    ],
)
def test_an_attempt_that_must_not_land_any_more_is_hopeless(state: State, rule: str) -> None:
    assert judged(entry(11, 9), state=state) == Group(hopeless=[11]), rule


def test_only_the_history_since_the_entrys_own_judgement_counts() -> None:
    """An older fence is no reason: the attempt has been judged since."""
    state = table(1, 2, fencing(3, 11), 9, 5)
    assert members(judged(entry(11, 9, judged=9), state=state)) == [11]
    assert judged(entry(11, 9, judged=2), state=state).hopeless == [11]


def test_each_entry_is_judged_from_its_own_head() -> None:
    state = table(1, 2, 3, 4, expired={1, 2})
    assert members(judged(entry(11, judged=3), entry(12, judged=1), state=state)) == [11]


def test_an_entry_from_before_the_tables_first_snapshot() -> None:
    assert members(judged(entry(11, judged=NO_SNAPSHOT))) == [11]
    expired = table(1, 2, 3, expired={1})
    assert judged(entry(11, judged=NO_SNAPSHOT), state=expired).hopeless == [11]


# --- fences inside a group -------------------------------------------------------------------------------------------


def test_members_fences_are_written_besides_the_leaders() -> None:
    group = judged(entry(11, 1001, 1002), entry(12, 1003, 1001), leader_fences=[1002, 1004])
    assert group.fenced == {1001, 1003}
    assert members(group) == [11, 12]


def test_an_attempt_that_the_leader_fences_is_no_member() -> None:
    assert judged(entry(11), leader_fences=[11]) == Group()


def test_an_attempt_that_fences_the_leader_is_no_member() -> None:
    assert judged(entry(11, LEADER)) == Group()


@pytest.mark.parametrize("fencer_is_older", [True, False])
def test_of_an_attempt_and_its_fencer_the_older_entry_is_a_member(fencer_is_older: bool) -> None:
    """Neither is hopeless: the group decides which one is, and the next leader finds out from the history."""
    age = 1.0 if fencer_is_older else -1.0
    group = judged(entry(11), entry(12, 11, enlisted_at=NOW - age))
    assert members(group) == [12 if fencer_is_older else 11]
    assert group.fenced == ({11} if fencer_is_older else frozenset())
    assert not group.hopeless


def test_fences_of_entries_that_are_no_members_do_not_count() -> None:
    old, fenced_by_it = entry(11, 12, enlisted_at=NOW - ENTRY_SECONDS - 1), entry(12)
    assert judged(old, fenced_by_it) == Group(members=[fenced_by_it])


def test_an_attempt_that_fences_itself_harms_nobody() -> None:
    assert members(judged(entry(11, 11))) == [11]


# --- the entry -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "is_member"), [(ENTRY_SECONDS, True), (ENTRY_SECONDS + 0.01, False), (-5.0, True), (-5.1, False)]
)
def test_an_old_entry_is_no_member(age: float, is_member: bool) -> None:
    """Its files may be gone. Its owner may still be waiting, and enlists again."""
    group = judged(entry(11, enlisted_at=NOW - age))
    assert members(group) == ([11] if is_member else [])
    assert (group.hopeless, group.landed) == ([], {})


def test_an_old_entry_that_has_landed_is_told() -> None:
    old = entry(11, enlisted_at=NOW - ENTRY_SECONDS - 1)
    assert judged(old, state=table(1, 2, 3, landing(4, 11))).landed == {11: 4}


@pytest.mark.parametrize("manifest", ["sale-11 1", "", "garbage"])
def test_an_entry_with_another_schema_or_without_a_manifest_is_no_member(manifest: str) -> None:
    assert judged(entry(11, manifest=manifest)) == Group()


def test_an_entry_that_is_read_twice_is_one_member() -> None:
    assert members(judged(entry(11), entry(11, manifest="again 0"))) == [11]


def test_the_oldest_entries_come_first() -> None:
    waiting = [entry(10 + age, enlisted_at=NOW - age) for age in (1, 3, 2)]
    assert members(judged(*waiting)) == [13, 12, 11]


def test_a_group_has_a_largest_size() -> None:
    waiting = [entry(1000 + age, enlisted_at=NOW - age / 10) for age in range(MAX_MEMBERS + 5)]
    group = judged(*waiting)
    assert members(group) == [1000 + age for age in range(MAX_MEMBERS + 4, 4, -1)], "the newest wait for the next"
    assert not group.hopeless
