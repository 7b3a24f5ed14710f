"""The attempt that commits for everybody who waits."""

from __future__ import annotations

import pytest

from lambda_fn.errors import StoreUnavailable
from lambda_fn.iceberg.group_commit.commit_queue import Lease
from lambda_fn.iceberg.group_commit.group import GATHER_SHARE
from lambda_fn.iceberg.store import Committed, MergeResult, NotSent
from lambda_fn.ports import GiveUp, Landed, NotKnownToHaveLanded
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
    LOST,
    REQUEST_SECONDS,
    SECOND,
    State,
    Store,
    a_sale,
    fencing,
    landing,
    table,
)


def test_a_leader_lands_everybody_who_waits() -> None:
    store = Store([FIRST], [Committed(table(1, landing(ATTEMPT, 11, 12)))])
    store.clock.advance(100.0)
    queue = queue_of(store, waiting(store, 11, 7), waiting(store, 12, 8))
    assert append(store, queue, 8, 9) == Landed(ATTEMPT, group_size=3)
    assert commits(store) == ["commit a with 11 with 12 on 1"]
    assert store.fenced == [{7, 8, 9}]
    assert queue.stored == {}
    assert queue.current == Lease(2, ATTEMPT, queue.current.since, 0.0, REQUEST_SECONDS, {11: ATTEMPT, 12: ATTEMPT})


def test_a_leader_reads_the_queue_before_the_head() -> None:
    """An entry that was judged on a newer head than the leader's would seem to be out of its history."""
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    loaded: list[int] = []
    queue.before["entries"] = [lambda: loaded.append(len(store.calls))]
    append(store, queue)
    assert store.calls[loaded[0] :] == ["load, knowing 1", "commit a on 1"]


def test_a_leader_that_meets_nobody_commits_its_own_sales() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    assert append(store, queue) == Landed(ATTEMPT)
    assert queue.calls == LEADS
    assert queue.current.landed == {}


def test_a_leader_waits_a_little_for_those_whom_the_last_group_released() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    queue.current = Lease(1, ANOTHER, 0.0, 0.0, 0.5, {11: ANOTHER, 12: ANOTHER})
    before = store.clock.monotonic()
    append(store, queue)
    assert store.clock.monotonic() - before == pytest.approx(REQUEST_SECONDS + 0.5 * GATHER_SHARE)


@pytest.mark.parametrize("landed", [{}, {11: ANOTHER}])
def test_a_leader_waits_for_nobody_if_the_last_group_was_small(landed: dict[int, int]) -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    queue.current = Lease(1, ANOTHER, 0.0, 0.0, 0.5, landed)
    append(store, queue)
    assert store.clock.monotonic() == REQUEST_SECONDS


def test_a_leader_tells_what_others_have_landed_and_removes_what_is_hopeless() -> None:
    head = table(1, landing(2, 11), fencing(3, 12))
    store = Store([FIRST, head], [Committed(table(1, landing(2, 11), fencing(3, 12), ATTEMPT))])
    queue = queue_of(store, *[waiting(store, attempt_id) for attempt_id in (11, 12, ATTEMPT)], waiting(store, 13))
    assert append(store, queue) == Landed(ATTEMPT, group_size=2)
    assert queue.current.landed == {11: 2, 13: ATTEMPT}
    assert queue.stored == {}


def test_entries_that_can_not_land_now_stay_in_the_queue() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store, waiting(store, 11, schema=1), waiting(store, 12, ATTEMPT))
    assert append(store, queue) == Landed(ATTEMPT)
    assert queue.stored.keys() == {11, 12}


def test_a_leader_that_has_landed_meanwhile_commits_nothing() -> None:
    store = Store([FIRST, table(1, landing(2, ATTEMPT, 11))])
    queue = queue_of(store, *[waiting(store, attempt_id) for attempt_id in (ATTEMPT, 11, 12)])
    assert append(store, queue) == Landed(2, group_size=0)
    assert commits(store) == []
    assert queue.current.landed == {11: 2}
    assert queue.stored.keys() == {12}
    assert queue.current.until == 0.0


def test_a_leader_whose_answer_was_lost_finds_its_group_in_the_history() -> None:
    store = Store([FIRST, FIRST, table(1, landing(ATTEMPT, 11), 3)], [LOST])
    queue = queue_of(store, waiting(store, 11))
    assert append(store, queue) == Landed(ATTEMPT, conflicts=1, group_size=2)
    assert queue.current.landed == {11: ATTEMPT}
    assert queue.stored == {}


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (table(1, fencing(2, ATTEMPT)), GiveUp.FENCED),
        (table(1, landing(2, 77)), GiveUp.EARLIER_ATTEMPT_LANDED),
        (table(1, 2, 3, expired={2}), GiveUp.HISTORY_EXPIRED),
        (StoreUnavailable("503"), GiveUp.HEAD_UNREADABLE),
    ],
)
def test_a_leader_that_must_not_land_frees_the_lease(found: State | StoreUnavailable, cause: GiveUp) -> None:
    store = Store([FIRST, found])
    queue = queue_of(store, waiting(store, ATTEMPT), waiting(store, 12))
    assert append(store, queue, 77) == NotKnownToHaveLanded(cause)
    assert commits(store) == []
    assert queue.current.until == 0.0
    # Without the head, nothing is known of the entries.
    assert (ATTEMPT in queue.stored) == (cause is GiveUp.HEAD_UNREADABLE)


def test_a_leader_that_can_not_read_the_queue_frees_the_lease_and_commits_alone() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store, waiting(store, 11))
    queue.down = {"entries"}
    assert append(store, queue) == Landed(ATTEMPT)
    assert commits(store) == ["commit a on 1"]
    assert queue.calls == ["lease", "take", "entries", "finish"]
    assert queue.current.until == 0.0
    assert "report: The commit queue is down." in store.calls


def test_a_leader_that_need_not_merge_changes_the_lease_once() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    sales = store.table(queue, always_in_groups=True)
    sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    sales.merge_manifests(store.soon())
    assert queue.calls == LEADS


def test_a_merge_that_fails_unexpectedly_frees_the_lease() -> None:
    store = Store([FIRST], [LANDED_ALONE], merge=MergeResult(7, NotSent("storage")))
    queue = queue_of(store)
    sales = store.table(queue, always_in_groups=True)
    sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    assert queue.current.until > store.clock.now(), "kept for the merge"
    store.fails = RuntimeError("a defect")
    with pytest.raises(RuntimeError):
        sales.merge_manifests(store.soon())
    assert queue.current.until == 0.0


def test_a_refused_commit_is_repeated_with_the_queue_as_it_is_then() -> None:
    store = Store([FIRST, FIRST, SECOND], [LOST, Committed(table(1, 2, ATTEMPT))])
    queue = queue_of(store, waiting(store, 11))
    queue.before["entries"] = [nothing, lambda: queue.stored.update({12: waiting(store, 12)})]
    assert append(store, queue) == Landed(ATTEMPT, conflicts=1, group_size=3)
    assert commits(store) == ["commit a with 11 on 1", "commit a with 11 with 12 on 2"]
    assert queue.calls == ["lease", "take", "entries", "take", "entries", "finish"]


def test_a_commit_without_files_is_repeated_without_those_who_have_left() -> None:
    store = Store([FIRST], [NotSent("storage"), LANDED_ALONE])
    queue = queue_of(store, waiting(store, 11))
    queue.before["entries"] = [nothing, queue.stored.clear]
    assert append(store, queue) == Landed(ATTEMPT)
    assert commits(store) == ["commit a with 11 on 1", "commit a on 1"]


def test_files_of_a_leader_with_an_old_schema_are_staged_again() -> None:
    changed = table(1, 2, schema=1)
    store = Store([FIRST, changed], [Committed(table(1, 2, ATTEMPT, schema=1))])
    queue = queue_of(store, waiting(store, 11), waiting(store, 12, schema=1))
    assert append(store, queue) == Landed(ATTEMPT, group_size=2)
    assert store.calls[-2:] == ["stage a on 2", "commit a with 12 on 2"]
    assert queue.stored.keys() == {11}


def test_a_leader_whose_lease_was_taken_waits_for_the_next_one() -> None:
    store = Store([FIRST], [LOST])
    queue = queue_of(store, waiting(store, 11))
    queue.before["take"] = [nothing, lambda: hold(queue, store)]
    queue.before["lease"] = [nothing, nothing, lambda: tells(queue, {ATTEMPT: ANOTHER})]
    assert append(store, queue) == Landed(ANOTHER, conflicts=1, group_size=0)
    assert queue.calls == ["lease", "take", "entries", "take", "enlist", "lease", "lease"]
    assert queue.stored[ATTEMPT].judged == 1


def test_a_leader_without_time_for_another_try_frees_the_lease() -> None:
    store = Store([FIRST], [LOST])
    queue = queue_of(store, waiting(store, 11))
    result = append(store, queue, seconds=COMMIT_AND_JUDGE + 0.5)
    assert result == NotKnownToHaveLanded(GiveUp.OUT_OF_TIME, conflicts=1)
    assert len(commits(store)) == 1
    assert queue.current.until == 0.0
    assert 11 in queue.stored, "nobody knows whether it has landed"


def test_a_leader_that_can_not_extend_its_lease_commits_alone_on_the_head_judged_anew() -> None:
    store = Store([FIRST, FIRST, SECOND], [LOST, Committed(table(1, 2, ATTEMPT))])
    queue = queue_of(store, waiting(store, 11))
    queue.before["take"] = [nothing, lambda: queue.down.add("take")]
    assert append(store, queue, 7) == Landed(ATTEMPT, conflicts=1)
    assert commits(store) == ["commit a with 11 on 1", "commit a on 2"]
    assert store.fenced == [{7}, {7}]
