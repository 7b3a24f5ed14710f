"""Two faults, in two deliveries one after the other: a sample of all pairs, which the seed decides.

FAULTS_SEED sets the seed. All pairs: python -m tests.faults.wire --all-pairs --seconds N
"""

from __future__ import annotations

import pytest

from tests.faults.commands import seed_of_environment
from tests.faults.fault_proxy import FaultProxy
from tests.faults.figures import note
from tests.faults.plans import all_pairs, play_pairs
from tests.faults.world import World

# One after the other this is about a minute, on one core; the tests are apart so that two processes share them.
SAMPLES = 4
PAIRS_OF_A_SAMPLE = 40


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_two_requests_of_two_deliveries_may_fail(world: World, proxy: FaultProxy, sample: int) -> None:
    seed = seed_of_environment()
    pairs = all_pairs(seed)[sample * PAIRS_OF_A_SAMPLE : (sample + 1) * PAIRS_OF_A_SAMPLE]
    figures, played = play_pairs(world, proxy, pairs, seconds=float("inf"))
    note([figures.row(f"{played} pairs, seed {seed}")])
    assert played == PAIRS_OF_A_SAMPLE
    assert figures.problems == {}
