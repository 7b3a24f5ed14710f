"""Two faults in two consecutive deliveries: a sample of all pairs, which the seed determines.

Controls: with the same pairs, a writer that marks an event before it writes loses sales, and one that marks it
afterwards duplicates them.

FAULTS_SEED sets the seed. python -m tests.faults.wire --all-pairs --seconds N injects as many pairs as time allows.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.harness.fault_proxy import Fault, FaultProxy, Timing
from tests.faults.harness.figures import Figures, print_table
from tests.faults.harness.naive_writer import mark_first, mark_last
from tests.faults.harness.plans import REQUESTS_IN_A_GROUP, REQUESTS_OF_A_NAIVE_WRITER, all_pairs, inject_pairs
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.faults.wire import Subject, in_groups

# All samples take about a minute on one core. They are separate tests so that two processes can share them.
SAMPLES = 4
PAIRS_PER_SAMPLE = 40
PAIRS_PER_CONTROL = 20
# A naive writer puts the item while it appends, so its commit is one of these requests.
NAIVE_COMMITS = range(8, 12)


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_two_requests_of_two_deliveries_may_fail(
    stores: StoresUnderTest, proxy: FaultProxy, seed: int, sample: int
) -> None:
    pairs = all_pairs(seed)[sample * PAIRS_PER_SAMPLE : (sample + 1) * PAIRS_PER_SAMPLE]
    figures, done = inject_pairs(stores, proxy, pairs, seconds=float("inf"))
    print_table(figures.row(f"{done} pairs, seed {seed}"))
    assert done == PAIRS_PER_SAMPLE
    assert figures.problems == {}


@pytest.mark.engine
def test_two_requests_of_two_deliveries_may_fail_in_group_commit(
    stores: StoresUnderTest, proxy: FaultProxy, seed: int
) -> None:
    pairs = all_pairs(seed, REQUESTS_IN_A_GROUP)[:PAIRS_PER_SAMPLE]
    figures, done = inject_pairs(stores, proxy, pairs, seconds=float("inf"), subject=in_groups)
    print_table(figures.row(f"{done} pairs in groups, seed {seed}"))
    assert done == PAIRS_PER_SAMPLE
    assert figures.problems == {}


def figures_of(
    writer: Subject, stores: StoresUnderTest, proxy: FaultProxy, seed: int, selects: Callable[[int, Fault], bool]
) -> Figures:
    """Inject a sample of pairs into a naive writer: pairs whose first fault is selected."""
    pairs = [pair for pair in all_pairs(seed, REQUESTS_OF_A_NAIVE_WRITER) if selects(*pair.first)][:PAIRS_PER_CONTROL]
    figures, done = inject_pairs(stores, proxy, pairs, seconds=float("inf"), subject=writer)
    print_table(figures.row(f"control, {done} pairs, seed {seed}"))
    return figures


def test_a_writer_that_marks_first_is_caught_losing_sales(
    stores: StoresUnderTest, proxy: FaultProxy, seed: int
) -> None:
    def has_no_effect(_number: int, fault: Fault) -> bool:
        return fault.forwarded is Timing.NEVER

    assert len(figures_of(mark_first, stores, proxy, seed, has_no_effect).lost) > 0


def test_a_writer_that_marks_last_is_caught_duplicating_sales(
    stores: StoresUnderTest, proxy: FaultProxy, seed: int
) -> None:
    def commits(number: int, fault: Fault) -> bool:
        return fault.forwarded is Timing.AT_ONCE and number in NAIVE_COMMITS

    assert len(figures_of(mark_last, stores, proxy, seed, commits).doubled) > 0
