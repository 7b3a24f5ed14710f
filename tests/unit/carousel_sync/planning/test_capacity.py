"""Settings for a load: formulae compared with numbers calculated by hand, and properties of all loads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel_sync.planning.capacity import (
    BATCH_LIMIT,
    INVOCATION_LIMIT_BYTES,
    METADATA_LIMIT_BYTES,
    RECORD_OVERHEAD_BYTES,
    Load,
    batches_per_second,
    largest_batch,
    metadata_bytes,
    plan_capacity,
    retention_hours,
)
from carousel_sync.planning.durations import WAITING_MILLISECONDS, cpu_milliseconds, lambda_milliseconds
from carousel_sync.planning.group_commit import LARGEST_GROUP, ROUND_MILLISECONDS

USUAL = Load(events_per_second=100, event_bytes=11_300, embedding=1024, delay_seconds=60)

loads = st.builds(
    Load,
    events_per_second=st.floats(0.001, 5_000),
    event_bytes=st.floats(200, 50_000),
    embedding=st.integers(0, 4096),
    delay_seconds=st.floats(1, 600),
    memory_mb=st.sampled_from([512, 1024, 1769, 3008]),
)


def test_the_size_of_the_metadata() -> None:
    # One commit a second for 6 h: 21,600 snapshots of 800 bytes.
    assert metadata_bytes(1.0, 6) == pytest.approx(17_280_000)
    # The same as commits x hours x 3.6 MB / 1.25.
    assert metadata_bytes(0.5, 24) == pytest.approx(0.5 * 24 * 3_600_000 / 1.25)
    # Beside its own attempt, each snapshot lists 34 others, 20 bytes each: 1,480 bytes.
    assert metadata_bytes(1.0, 1, 35) == pytest.approx(3_600 * 1_480)


def test_snapshots_fill_at_most_half_of_the_limit() -> None:
    # 25 MB / 2.88 MB an hour = 8.68.
    assert retention_hours(1.0) == 8
    assert retention_hours(0.01) == 120
    assert retention_hours(100.0) == 1


def test_batches_are_delivered_when_full_or_at_the_end_of_the_window() -> None:
    # 100 events a second fill a batch of 500 in five seconds; two collectors with a window of 20 s are slower.
    assert batches_per_second(100, 500, 20, 2) == pytest.approx(0.2)
    # Five collectors with a window of 5 s deliver one batch a second between them, full or not.
    assert batches_per_second(100, 500, 5, 5) == pytest.approx(1.0)
    # There are five pollers for any number of handlers, and never more batches than events.
    assert batches_per_second(100, 500, 5, 50) == pytest.approx(1.0)
    assert batches_per_second(0.1, 500, 1, 5) == pytest.approx(0.1)


def test_a_batch_fits_into_six_megabytes() -> None:
    # 6,291,456 / (11,300 + 700) = 524.3.
    assert largest_batch(11_300, 1024, 512) == 524
    assert largest_batch(4_000_000, 1024, 512) == 1


def test_a_batch_ends_within_half_of_the_time_out() -> None:
    # At 128 MB, 30 s less 200 ms of waiting are 2,156 ms of a core; less 48, by 0.34 ms for each sale.
    assert largest_batch(100, 0, 128) == 6_200
    # On a whole core there is time for 87,000, but 6 MB hold only 6,291,456 / 800.
    assert largest_batch(100, 0, 1769) == 7_864


def test_time_of_a_batch() -> None:
    # 48 + 500 x (0.34 + 0.21 x 1.024) = 325.52 ms of a core.
    assert cpu_milliseconds(500, 1024) == pytest.approx(325.52)
    assert lambda_milliseconds(325.52, 512) == pytest.approx(325.52 * 1769 / 512 + WAITING_MILLISECONDS)
    # Above 1,769 MB one batch does not become faster: it uses one core.
    assert lambda_milliseconds(100, 3008) == pytest.approx(100 + WAITING_MILLISECONDS)


def test_a_hundred_events_a_second() -> None:
    plan = plan_capacity(USUAL)
    assert (plan.batch_size, plan.window_seconds, plan.concurrency) == (524, 57, 2)
    # The batch is full after 5.24 s: 0.19 commits a second, of which 25 MB hold 45 hours.
    assert plan.commits_per_second == pytest.approx(100 / 524)
    assert plan.retention_hours == 45
    assert plan.metadata_bytes == pytest.approx(100 / 524 * 3600 * 45 * 800)
    assert plan.problems == ()


def test_a_rare_event_is_a_batch_of_its_own() -> None:
    plan = plan_capacity(replace(USUAL, events_per_second=0.001))
    assert plan.sales_per_commit == pytest.approx(1.0)
    assert plan.retention_hours == 120
    assert plan.problems == ()


def test_more_commits_than_planned_leave_few_gaps() -> None:
    plan = plan_capacity(replace(USUAL, events_per_second=1_000))
    assert plan.problems == ()
    gaps, history = plan.notes
    assert "1.91 commits a second" in gaps
    assert "4 h" in history


def test_a_short_delay_makes_more_commits_than_planned() -> None:
    plan = plan_capacity(replace(USUAL, events_per_second=10, delay_seconds=2.5))
    assert plan.window_seconds == 1
    assert any("--delay-seconds" in note for note in plan.notes)


def test_batches_that_overlap_share_a_commit() -> None:
    # 19.1 full batches a second, of which 6.68 arrive while a commit of 350 ms is made.
    plan = plan_capacity(replace(USUAL, events_per_second=10_000))
    assert plan.batches_per_commit == pytest.approx(10_000 / 524 * 0.35)
    assert plan.commits_per_second == pytest.approx(1 / 0.35)
    assert plan.sales_per_commit == pytest.approx(3_500)
    assert plan.problems == ()


def test_more_batches_than_one_table_takes_are_a_problem() -> None:
    # 201 batches of 524 sales in each commit of 350 ms: 300,926 sales a second.
    assert plan_capacity(replace(USUAL, events_per_second=300_000, memory_mb=8_000)).problems[1:] == ()
    found = plan_capacity(replace(USUAL, events_per_second=302_000)).problems
    assert any("more than the 574 that one table takes" in problem for problem in found)


def test_a_delay_that_cannot_be_kept_is_a_problem() -> None:
    plan = plan_capacity(replace(USUAL, delay_seconds=1.0))
    assert any("visible only after" in problem for problem in plan.problems)


@given(loads)
def test_settings_are_within_the_limits_of_the_services(load: Load) -> None:
    plan = plan_capacity(load)
    assert 1 <= plan.batch_size <= BATCH_LIMIT
    assert plan.batch_size == 1 or (
        plan.batch_size * (load.event_bytes + RECORD_OVERHEAD_BYTES) <= INVOCATION_LIMIT_BYTES
    )
    assert 1 <= plan.window_seconds <= 300
    assert plan.concurrency >= 2
    assert 1 <= plan.retention_hours <= 120
    assert plan.sales_per_commit <= plan.batch_size * plan.batches_per_commit * (1 + 1e-9)
    assert 1 <= plan.batches_per_commit <= LARGEST_GROUP
    assert plan.commits_per_second * plan.sales_per_commit == pytest.approx(load.events_per_second)


@given(loads)
def test_settings_without_a_problem_meet_the_requirements(load: Load) -> None:
    plan = plan_capacity(load)
    if not plan.problems:
        assert plan.delay_seconds <= load.delay_seconds
        assert plan.commits_per_second <= 1000 / ROUND_MILLISECONDS * (1 + 1e-9)
        assert plan.metadata_bytes < METADATA_LIMIT_BYTES
        # The handlers can take the load.
        assert plan.concurrency >= plan.commits_per_second * plan.batches_per_commit * plan.batch_seconds


@given(loads, st.floats(1, 300))
def test_a_longer_delay_never_makes_more_commits(load: Load, longer: float) -> None:
    patient = replace(load, delay_seconds=load.delay_seconds + longer)
    assert plan_capacity(patient).commits_per_second <= plan_capacity(load).commits_per_second * (1 + 1e-9)
