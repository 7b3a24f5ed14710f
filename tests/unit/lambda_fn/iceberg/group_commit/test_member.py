"""An attempt that waits for a leader."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambda_fn.iceberg.group_commit.commit_queue import Lease
from lambda_fn.iceberg.group_commit.group import CLOCK_SKEW_SECONDS, HISTORY_SECONDS, LEASE_SECONDS
from lambda_fn.iceberg.store import NotSent
from lambda_fn.ports import AppendResult, GiveUp, Landed, NotKnownToHaveLanded
from tests.fakes.clock import FakeClock
from tests.fakes.commit_queue import InMemoryCommitQueue
from tests.unit.lambda_fn.iceberg.group_commit.group_runs import (
    COMMIT_AND_JUDGE,
    LANDED_ALONE,
    LEADS,
    append,
    commits,
    hold,
    nothing,
    queue_of,
    tells,
    waiting,
)
from tests.unit.lambda_fn.iceberg.table_store import (
    ANOTHER,
    ATTEMPT,
    FIRST,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    SECOND,
    State,
    Store,
    a_sale,
    fencing,
    landing,
    table,
)

LOOKS_PER_ROUND = 12

# --- the members ------------------------------------------------------------------------------------------------------


def test_a_member_is_told_that_it_has_landed() -> None:
    store = Store([FIRST])
    queue = queue_of(store)
    hold(queue, store)
    queue.before["lease"] = [nothing, nothing, lambda: tells(queue, {ATTEMPT: ANOTHER})]
    entry = replace(waiting(store, ATTEMPT, 7), manifest="a 0")
    assert append(store, queue, 7) == Landed(ANOTHER, group_size=0)
    assert queue.calls == ["lease", "enlist", "lease", "lease"]
    assert queue.stored[ATTEMPT] == entry
    assert store.calls == ["load, knowing None", "stage a on 1", "share a on 1"]


def test_a_member_whose_leader_dies_finds_itself_in_the_history() -> None:
    store = Store([FIRST, table(1, landing(ANOTHER, ATTEMPT))])
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    assert append(store, queue) == Landed(ANOTHER, group_size=0)
    assert HISTORY_SECONDS <= store.clock.monotonic() < HISTORY_SECONDS + 1.0
    assert commits(store) == []


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (table(1, fencing(2, ATTEMPT)), GiveUp.FENCED),
        (table(1, 77), GiveUp.EARLIER_ATTEMPT_LANDED),
        (table(1, 2, 3, expired={2}), GiveUp.HISTORY_EXPIRED),
    ],
)
def test_a_member_that_must_not_land_any_more_stops_waiting(found: State, cause: GiveUp) -> None:
    store = Store([FIRST, found])
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    assert append(store, queue, 77) == NotKnownToHaveLanded(cause)


def test_a_member_leads_once_the_lease_has_ended() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store, waiting(store, 11))
    hold(queue, store, seconds=1.0)
    assert append(store, queue) == Landed(ATTEMPT, group_size=2)
    assert queue.calls[:2] == ["lease", "enlist"]
    assert queue.calls[-4:] == LEADS
    assert queue.stored == {}, "its own entry is settled, too"


def test_the_lease_that_an_attempt_took_without_an_answer_is_its_own() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    now = store.clock.now()
    queue.current = Lease(1, ATTEMPT, now, now + LEASE_SECONDS)
    assert append(store, queue) == Landed(ATTEMPT)
    assert queue.calls == LEADS


@pytest.mark.parametrize(
    ("ahead", "calls"), [(CLOCK_SKEW_SECONDS, ["lease", "enlist"]), (CLOCK_SKEW_SECONDS + 0.1, LEADS)]
)
def test_a_lease_from_a_clock_that_is_wrong_counts_as_free(ahead: float, calls: list[str]) -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    now = store.clock.now()
    queue.current = Lease(1, ANOTHER, now + ahead, now + 1000.0)
    append(store, queue, seconds=COMMIT_AND_JUDGE)
    assert queue.calls == calls


def test_an_attempt_that_does_not_get_the_lease_enlists() -> None:
    store = Store([FIRST])
    queue = queue_of(store)
    queue.before["take"] = [lambda: hold(queue, store)]
    queue.before["lease"] = [nothing, lambda: tells(queue, {ATTEMPT: ANOTHER})]
    assert append(store, queue) == Landed(ANOTHER, group_size=0)
    assert queue.calls == ["lease", "take", "enlist", "lease"]


def test_a_waiting_attempt_enlists_again_on_the_head_that_it_has_judged() -> None:
    store = Store([FIRST, SECOND])
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    started = store.clock.now()
    append(store, queue, seconds=COMMIT_AND_JUDGE + HISTORY_SECONDS + 1.0)
    assert queue.calls.count("enlist") == 2
    assert queue.stored[ATTEMPT].judged == 2
    assert queue.stored[ATTEMPT].enlisted_at >= started + HISTORY_SECONDS
    assert store.calls.count("stage a on 1") == 1


def test_a_waiting_attempt_with_an_old_schema_stages_again_and_enlists_again() -> None:
    store = Store([FIRST, table(1, 2, schema=1)])
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    append(store, queue, seconds=COMMIT_AND_JUDGE + HISTORY_SECONDS + 1.0)
    assert (queue.stored[ATTEMPT].manifest, queue.stored[ATTEMPT].judged) == ("a 1", 2)
    assert store.calls[:6] == [
        "load, knowing None",
        "stage a on 1",
        "share a on 1",
        "load, knowing 1",
        "stage a on 2",
        "share a on 2",
    ]


class Pauses(FakeClock):
    """A clock that knows how long each pause was."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Advance both clocks."""
        self.pauses.append(seconds)
        super().sleep(seconds)


def pauses_of_a_member(round_seconds: float, since: float) -> list[float]:
    """Return the pauses between the looks at a lease that was taken some seconds ago."""
    clock = Pauses()
    store = Store([FIRST], clock=clock)
    queue = queue_of(store)
    leads(queue, store, round_seconds, since)
    append(store, queue, seconds=COMMIT_AND_JUDGE + 3.0)
    return clock.pauses


def leads(queue: InMemoryCommitQueue, store: Store, round_seconds: float, since: float = 0.0) -> None:
    """Another attempt has led for some seconds, and goes on."""
    now = store.clock.now()
    queue.current = Lease(queue.current.number + 1, ANOTHER, now - since, now + 1000.0, round_seconds)


@pytest.mark.parametrize("since", [0.0, 0.2])
def test_a_member_first_waits_until_its_group_should_have_landed(since: float) -> None:
    first, second, *_ = pauses_of_a_member(0.6, since)
    assert 0.6 - since < first < 0.6 - since + 0.6 / LOOKS_PER_ROUND
    assert second <= LONGEST_PAUSE


def test_a_member_waits_for_the_next_leader_as_for_the_first() -> None:
    clock = Pauses()
    store = Store([FIRST], clock=clock)
    queue = queue_of(store)
    leads(queue, store, 0.6)
    queue.before["lease"] = [nothing, nothing, lambda: leads(queue, store, 0.6)]
    append(store, queue, seconds=COMMIT_AND_JUDGE + 3.0)
    first, second, third, *_ = clock.pauses
    assert second <= LONGEST_PAUSE < 0.6 < min(first, third)


def test_a_member_looks_at_the_history_before_a_long_round_ends() -> None:
    clock = Pauses()
    store = Store([FIRST, table(1, landing(ANOTHER, ATTEMPT))], clock=clock)
    queue = queue_of(store)
    leads(queue, store, 30.0)
    assert append(store, queue) == Landed(ANOTHER, group_size=0)
    assert clock.pauses == [HISTORY_SECONDS]


def test_a_pause_is_half_again_as_long_as_the_one_before() -> None:
    first, *others = pauses_of_a_member(0.0, 0.0)
    assert FIRST_PAUSE / 2 <= first <= FIRST_PAUSE
    longest = [min(LONGEST_PAUSE, FIRST_PAUSE * 1.5**number) for number, _ in enumerate(others, start=1)]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(others[:-1], longest, strict=False))


@pytest.mark.parametrize("left", [0.3, 0.0, -1.0])
def test_a_pause_ends_at_the_deadline(left: float) -> None:
    """However long the requests before it took."""
    store = Store([FIRST])
    queue = queue_of(store)
    leads(queue, store, 30.0)
    seconds = COMMIT_AND_JUDGE + 1.0
    queue.before["enlist"] = [lambda: store.clock.advance(seconds - left)]
    assert append(store, queue, seconds=seconds) == NotKnownToHaveLanded(GiveUp.HEAD_UNREADABLE)
    assert store.clock.monotonic() == pytest.approx(max(seconds, seconds - left))


@pytest.mark.parametrize(
    ("round_seconds", "since"), [(0.0, 0.0), (0.6, 0.6), (0.6, 5.0), (0.6, -1.0)], ids=["first", "due", "late", "skew"]
)
def test_a_member_whose_group_is_due_looks_often(round_seconds: float, since: float) -> None:
    first, *_ = pauses_of_a_member(round_seconds, since)
    assert min(LONGEST_PAUSE, max(FIRST_PAUSE, round_seconds / LOOKS_PER_ROUND)) / 2 <= first <= LONGEST_PAUSE


def test_looks_become_rarer_while_an_attempt_waits() -> None:
    store = Store([FIRST])
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    append(store, queue, seconds=COMMIT_AND_JUDGE + 1.0)
    assert 1.0 / 0.01 < queue.calls.count("lease") < 3 * 1.0 / 0.01, "between half of the longest pause and all of it"


def test_an_attempt_without_files_stays_out_of_the_queue() -> None:
    store = Store([FIRST], not_shared=NotSent("storage"))
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    result = append(store, queue, seconds=COMMIT_AND_JUDGE + 0.1)
    assert result == NotKnownToHaveLanded(GiveUp.STAGING_FAILED)
    assert isinstance(result, NotKnownToHaveLanded)
    assert result.detail == "storage"
    assert "enlist" not in queue.calls
    assert store.calls.count("share a on 1") > 1, "it tries again at each look"


def test_an_attempt_enlists_once_its_files_are_uploaded() -> None:
    store = Store([FIRST], not_shared=NotSent("storage"))
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    queue.before["lease"] = [nothing, lambda: setattr(store, "not_shared", None)]
    append(store, queue, seconds=COMMIT_AND_JUDGE + 0.1)
    assert queue.calls[:3] == ["lease", "lease", "enlist"]


# --- no time ----------------------------------------------------------------------------------------------------------


def test_nothing_is_asked_without_time_for_a_commit_and_its_judgement() -> None:
    store = Store([FIRST])
    queue = queue_of(store)
    assert append(store, queue, seconds=COMMIT_AND_JUDGE - 0.1) == NotKnownToHaveLanded(GiveUp.OUT_OF_TIME)
    assert queue.calls == []
    assert store.calls == ["load, knowing None", "stage a on 1"]


@pytest.mark.parametrize(
    ("last", "result"),
    [
        (FIRST, NotKnownToHaveLanded(GiveUp.OUT_OF_TIME)),
        (table(1, landing(ANOTHER, ATTEMPT)), Landed(ANOTHER, group_size=0)),
        (table(1, fencing(2, ATTEMPT)), NotKnownToHaveLanded(GiveUp.FENCED)),
    ],
)
def test_an_enlisted_attempt_is_judged_a_last_time_before_it_gives_up(last: State, result: AppendResult) -> None:
    store = Store([FIRST, last])
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    assert append(store, queue, seconds=COMMIT_AND_JUDGE + 0.5) == result
    assert store.calls[-1] == "load, knowing 1"


def test_an_attempt_that_gives_up_makes_the_next_one_load_the_head() -> None:
    store = Store([FIRST])
    queue = queue_of(store)
    hold(queue, store, seconds=1000.0)
    sales = store.table(queue, always_in_groups=True)
    sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon(COMMIT_AND_JUDGE + 0.5))
    sales.begin(ANOTHER, store.soon())
    assert store.calls[-1] == "load, knowing None"
