"""Direct delivery for a load: figures compared with numbers calculated by hand, and properties of all loads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel_sync.planning.bytes_per_sale import WRITE_UNIT_BYTES, measure
from carousel_sync.planning.capacity import METADATA_LIMIT_BYTES
from carousel_sync.planning.direct import DirectLoad, direct_workload, plan_direct
from carousel_sync.planning.group_commit import (
    LARGEST_GROUP,
    LISTED_ATTEMPT_BYTES,
    entry_bytes,
    group_size,
    lease_bytes,
    requests_per_attempt,
    waiting_milliseconds,
    write_units_per_attempt,
)
from lambda_fn.iceberg.history import attempt_properties

SIZES = measure(1024)
USUAL = DirectLoad(events_per_second=100, embedding=1024)


def test_a_hundred_events_a_second() -> None:
    plan = plan_direct(USUAL, SIZES)
    # 35 arrive in 350 ms; then half of them wait 1.5 commits at most, and 95 in 100 wait 2.2.
    assert plan.group_size == pytest.approx(35)
    assert plan.commits_per_second == pytest.approx(2.857, abs=0.001)
    assert plan.p50_milliseconds == pytest.approx(525)
    assert plan.p95_milliseconds == pytest.approx(770)
    # 0.368 s of work and 0.525 s of waiting keep 89.3 invocations busy.
    assert plan.reserved_concurrency == 179
    assert plan.snapshots_per_hour == pytest.approx(10_286, abs=1)
    # 10,286 snapshots of 800 + 34 x 20 bytes.
    assert plan.retention_hours == 1
    assert plan.metadata_bytes == pytest.approx(15.22e6, rel=0.001)
    # The claim, the look-up, the item and the completion; an entry, five looks, and 8 of the leader's requests for 35.
    assert plan.dynamodb_requests_per_sale == pytest.approx(4 + 6 + 8 / 35)
    assert plan.write_units_per_sale == pytest.approx(27 + 2 + 5 / 35)
    assert plan.problems == ()


def test_an_event_in_ten_minutes_is_committed_alone() -> None:
    plan = plan_direct(replace(USUAL, events_per_second=1 / 600), SIZES)
    assert (plan.group_size, plan.write_units_per_sale, plan.dynamodb_requests_per_sale) == (1, 27, 4)
    assert plan.p95_milliseconds == pytest.approx(350, rel=0.01)
    assert (plan.problems, plan.notes) == ((), ())


def test_more_events_than_a_full_group_in_each_commit_are_a_problem() -> None:
    plan = plan_direct(replace(USUAL, events_per_second=600), SIZES)
    assert plan.group_size == LARGEST_GROUP
    assert any("more than the 574 that one table takes" in problem for problem in plan.problems)


def test_the_sizes_of_the_queues_items() -> None:
    assert entry_bytes() < WRITE_UNIT_BYTES
    assert 0.9 * WRITE_UNIT_BYTES < lease_bytes(35) < WRITE_UNIT_BYTES
    # The more groups the attempts are in, the more snapshots the lease names.
    assert lease_bytes(2) > lease_bytes(35)
    # A large group is named as a whole.
    assert 2 * WRITE_UNIT_BYTES < lease_bytes(200) < 3 * WRITE_UNIT_BYTES
    (listed,) = attempt_properties((), range(2**63 - 200, 2**63)).values()
    assert len(listed) / 200 <= LISTED_ATTEMPT_BYTES


def test_the_leaders_requests_are_shared_by_its_group() -> None:
    assert requests_per_attempt(1) == write_units_per_attempt(1) == 0
    assert requests_per_attempt(10) > requests_per_attempt(100) > 6
    assert write_units_per_attempt(10) > write_units_per_attempt(100) > 2


@given(st.floats(0.001, 2_000), st.floats(50, 5_000))
def test_all_loads(rate: float, milliseconds: float) -> None:
    load = replace(USUAL, events_per_second=rate, round_milliseconds=milliseconds)
    plan = plan_direct(load, SIZES)
    assert 1 <= plan.group_size == group_size(rate, milliseconds) <= LARGEST_GROUP
    assert plan.group_size * plan.commits_per_second == pytest.approx(rate)
    assert milliseconds <= plan.p50_milliseconds <= plan.p95_milliseconds <= 2.2 * milliseconds * (1 + 1e-9)
    assert waiting_milliseconds(rate, milliseconds, 1) == milliseconds
    if not plan.problems:
        assert plan.commits_per_second <= 1000 / milliseconds * (1 + 1e-9)
        assert plan.metadata_bytes <= METADATA_LIMIT_BYTES
        assert plan.reserved_concurrency >= rate * plan.invocation_seconds
    workload = direct_workload(load, plan, SIZES)
    assert workload.invocations == workload.data_files == workload.events
