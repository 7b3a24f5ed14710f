"""When an attempt commits alone, and when in a group."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lambda_fn.errors import ColumnsMissing
from lambda_fn.iceberg.group_commit.commit_queue import Lease
from lambda_fn.iceberg.group_commit.group import BUSY_SECONDS, CLOCK_SKEW_SECONDS
from lambda_fn.iceberg.sales_table import CONTENTION_SECONDS, MAX_PIN_SECONDS, IcebergSalesTable
from lambda_fn.iceberg.store import Committed
from lambda_fn.ports import Landed
from lambda_fn.sale import Sale
from tests.unit.lambda_fn.iceberg.group_commit.group_runs import (
    LANDED_ALONE,
    LEADS,
    append,
    commits,
    hold,
    nothing,
    queue_of,
    waiting,
    warm_table,
)
from tests.unit.lambda_fn.iceberg.table_store import (
    ANOTHER,
    ATTEMPT,
    FIRST,
    LOST,
    REQUEST_SECONDS,
    SECOND,
    Staged,
    State,
    Store,
    a_sale,
    landing,
    table,
)

# --- alone, or in groups ----------------------------------------------------------------------------------------------


def test_without_contention_an_attempt_commits_alone_and_asks_no_queue() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    sales = warm_table(store, queue)
    attempt = sales.begin(ATTEMPT, store.soon())
    attempt.prepare([a_sale()], store.soon())
    assert attempt.append([a_sale()], {7}, store.soon()) == Landed(ATTEMPT)
    assert sales.merge_manifests(store.soon()) is None
    assert store.calls == ["load, knowing None", "stage a on 1", "upload a on 1", "commit a on 1", "merge on 1000"]
    assert queue.calls == []


def test_groups_are_formed_only_under_contention_unless_told_otherwise() -> None:
    store = Store([FIRST])
    assert not IcebergSalesTable(store, store.retry, queue_of(store)).is_contended


def test_a_lost_race_leads_into_the_queue() -> None:
    store = Store([FIRST, SECOND], [LOST, Committed(table(1, 2, ATTEMPT))])
    queue = queue_of(store, waiting(store, 11))
    result = warm_table(store, queue).begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    assert result == Landed(ATTEMPT, conflicts=1, group_size=2)
    assert commits(store) == ["commit a on 1", "commit a with 11 on 2"]
    assert queue.calls == LEADS


def test_a_lost_answer_is_no_lost_race() -> None:
    store = Store([FIRST], [LOST, LANDED_ALONE])
    queue = queue_of(store)
    result = warm_table(store, queue).begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    assert result == Landed(ATTEMPT, conflicts=1)
    assert queue.calls == []


def test_a_commit_that_landed_although_its_answer_was_lost_needs_no_queue() -> None:
    store = Store([FIRST, table(1, ATTEMPT, 2)], [LOST])
    queue = queue_of(store)
    result = warm_table(store, queue).begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    assert result == Landed(ATTEMPT, conflicts=1, group_size=1)
    assert queue.calls == []


@pytest.mark.parametrize(
    ("later", "in_groups"), [(CONTENTION_SECONDS - 0.1, True), (CONTENTION_SECONDS, False), (1000.0, False)]
)
def test_contention_is_remembered_for_some_seconds(later: float, in_groups: bool) -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    sales = warm_table(store, queue)
    sales.note_contention()
    store.clock.advance(later)
    attempt = sales.begin(ATTEMPT, store.soon())
    attempt.prepare([a_sale()], store.soon())
    assert store.calls[-1] == ("share a on 1" if in_groups else "upload a on 1")
    attempt.append([a_sale()], (), store.soon())
    assert queue.calls == (LEADS if in_groups else [])


def test_a_new_process_looks_at_the_lease_once() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    sales = store.table(queue)
    for _ in range(2):
        sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    assert queue.calls == ["lease"]


@pytest.mark.parametrize(
    ("since", "until", "in_groups"),
    [
        (-1.0, 2.0, True),
        (-BUSY_SECONDS, 0.0, True),
        (-BUSY_SECONDS - 0.1, 0.0, False),
        (CLOCK_SKEW_SECONDS + 1.0, 100.0, False),
    ],
    ids=["led now", "led a moment ago", "led long ago", "by a clock that is wrong"],
)
def test_a_new_process_joins_those_who_wait(since: float, until: float, in_groups: bool) -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    now = store.clock.now()
    queue.current = Lease(1, ANOTHER, now + since, now + until)
    sales = store.table(queue)
    sales.look_for_contention(store.soon())
    assert sales.is_contended is in_groups


def test_a_new_process_commits_alone_if_the_queue_is_down() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    queue.down = {"lease"}
    sales = store.table(queue)
    assert sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon()) == Landed(ATTEMPT)
    assert not sales.is_contended
    assert queue.calls == ["lease"]
    assert "report: The commit queue is down." in store.calls


def test_a_group_of_more_than_one_is_contention() -> None:
    for members in (0, 1):
        store = Store([FIRST, SECOND], [LOST, Committed(table(1, 2, ATTEMPT))])
        queue = queue_of(store, *[waiting(store, 11) for _ in range(members)])
        sales = store.table(queue)
        sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
        # The race was lost one commit earlier than the group landed.
        store.clock.advance(CONTENTION_SECONDS - REQUEST_SECONDS)
        assert sales.is_contended is bool(members)


def test_a_lease_that_another_attempt_holds_is_contention() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    hold(queue, store)
    sales = store.table(queue, always_in_groups=True)
    sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    adaptive = store.table(queue)
    assert not adaptive.is_contended
    adaptive.note_contention()
    store.clock.advance(CONTENTION_SECONDS - 1.0)
    hold(queue, store, seconds=1.0)
    adaptive.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    store.clock.advance(1.0)
    assert adaptive.is_contended


def test_without_a_queue_nobody_commits_in_groups() -> None:
    store = Store([FIRST, SECOND], [LOST, Committed(table(1, 2, ATTEMPT))])
    sales = store.table(None, always_in_groups=True)
    attempt = sales.begin(ATTEMPT, store.soon())
    attempt.prepare([a_sale()], store.soon())
    assert attempt.append([a_sale()], (), store.soon()) == Landed(ATTEMPT, conflicts=1)
    sales.note_contention()
    assert not sales.is_contended
    assert not [call for call in store.calls if call.startswith("share")]


# --- the pin ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("contended", "age", "pin"), [(True, 0.0, 1), (True, 0.1, 2), (False, 1000.0, 1)])
def test_a_pin_under_contention_is_at_most_a_minute_old(contended: bool, age: float, pin: int) -> None:
    """A member does not see the head that landed it, so that nothing else renews its pin."""
    store = Store([FIRST, SECOND])
    store.clock.advance(100.0)
    sales = store.table(queue_of(store), always_in_groups=contended)
    sales.begin(ATTEMPT, store.soon())
    store.clock.advance(MAX_PIN_SECONDS + age)
    assert sales.begin(ATTEMPT, store.soon()).pin == pin


# --- a queue that is down ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lease", "take", "entries"])
def test_without_the_queue_an_attempt_commits_alone(method: str) -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store, waiting(store, 11))
    queue.down = {method}
    assert append(store, queue, 7) == Landed(ATTEMPT)
    assert commits(store) == ["commit a on 1"]
    assert store.fenced == [{7}]


def test_an_attempt_that_can_not_enlist_commits_alone() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store)
    hold(queue, store)
    queue.down = {"enlist"}
    assert append(store, queue) == Landed(ATTEMPT)


def test_an_enlisted_attempt_without_the_queue_finds_out_that_it_has_landed() -> None:
    store = Store([FIRST, table(1, landing(ANOTHER, ATTEMPT))], [LOST])
    queue = queue_of(store)
    hold(queue, store)
    queue.before["lease"] = [nothing, lambda: queue.down.add("lease")]
    assert append(store, queue) == Landed(ANOTHER, conflicts=1, group_size=0)


def test_alone_an_attempt_does_not_return_to_a_queue_that_is_down() -> None:
    store = Store([FIRST, SECOND], [LOST, Committed(table(1, 2, ATTEMPT))])
    queue = queue_of(store)
    queue.down = {"lease"}
    assert append(store, queue) == Landed(ATTEMPT, conflicts=1)
    assert queue.calls == ["lease"]


def test_a_leader_that_can_not_tell_has_landed_all_the_same() -> None:
    store = Store([FIRST], [LANDED_ALONE])
    queue = queue_of(store, waiting(store, 11))
    queue.down = {"finish"}
    assert append(store, queue) == Landed(ATTEMPT, group_size=2)


def test_a_removed_column_is_an_error_and_no_reason_to_commit_alone() -> None:
    class WithoutColumn(Store):
        def stage(self, state: State, sales: Sequence[Sale], attempt_id: int) -> Staged:
            if state.schema:
                raise ColumnsMissing(["currency"])
            return super().stage(state, sales, attempt_id)

    store = WithoutColumn([FIRST, table(1, 2, schema=1)])
    with pytest.raises(ColumnsMissing):
        append(store, queue_of(store))
    assert commits(store) == []
