"""Two faults, in two deliveries one after the other: a sample of all pairs, which the seed decides.

The controls: the same pairs catch a writer that marks an event before it writes losing sales, and one that marks it
after doubling them.

FAULTS_SEED sets the seed. All pairs: python -m tests.faults.wire --all-pairs --seconds N
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.harness.commands import seed_of_environment
from tests.faults.harness.fault_proxy import Fault, FaultProxy, Timing
from tests.faults.harness.figures import Figures, note
from tests.faults.harness.naive_writer import mark_first, mark_last
from tests.faults.harness.plans import REQUESTS_OF_A_NAIVE_WRITER, all_pairs, play_pairs
from tests.faults.harness.world import World
from tests.faults.wire import Subject

# One after the other this is about a minute, on one core; the tests are apart so that two processes share them.
SAMPLES = 4
PAIRS_OF_A_SAMPLE = 40
PAIRS_OF_A_CONTROL = 20
# It puts the item beside the append, so that its commit is one of these requests.
NAIVE_COMMITS = range(8, 12)


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_two_requests_of_two_deliveries_may_fail(world: World, proxy: FaultProxy, sample: int) -> None:
    seed = seed_of_environment()
    pairs = all_pairs(seed)[sample * PAIRS_OF_A_SAMPLE : (sample + 1) * PAIRS_OF_A_SAMPLE]
    figures, played = play_pairs(world, proxy, pairs, seconds=float("inf"))
    note([figures.row(f"{played} pairs, seed {seed}")])
    assert played == PAIRS_OF_A_SAMPLE
    assert figures.problems == {}


def of_a_naive_writer(
    world: World, proxy: FaultProxy, writer: Subject, wanted: Callable[[int, Fault], bool]
) -> Figures:
    """Play a sample of pairs with a writer that takes single events, those whose first fault is wanted."""
    seed = seed_of_environment()
    pairs = [pair for pair in all_pairs(seed, REQUESTS_OF_A_NAIVE_WRITER) if wanted(*pair.first)][:PAIRS_OF_A_CONTROL]
    figures, played = play_pairs(world, proxy, pairs, seconds=float("inf"), subject=writer)
    note([figures.row(f"control, {played} pairs, seed {seed}")])
    return figures


def test_a_writer_that_marks_first_is_caught_losing(world: World, proxy: FaultProxy) -> None:
    def has_no_effect(_number: int, fault: Fault) -> bool:
        return fault.forwarded is Timing.NEVER

    assert len(of_a_naive_writer(world, proxy, mark_first, has_no_effect).lost) > 0


def test_a_writer_that_marks_last_is_caught_doubling(world: World, proxy: FaultProxy) -> None:
    def takes_effect_where_it_commits(number: int, fault: Fault) -> bool:
        return fault.forwarded is Timing.AT_ONCE and number in NAIVE_COMMITS

    assert len(of_a_naive_writer(world, proxy, mark_last, takes_effect_where_it_commits).doubled) > 0
