"""Services in trouble: answered within the deadline, nothing given back without need, drained when it is over.

The same table, for people: python -m tests.faults.outage
"""

from __future__ import annotations

import pytest

from tests.faults.harness.commands import seed_of_environment
from tests.faults.harness.fault_proxy import FaultProxy
from tests.faults.harness.figures import note
from tests.faults.harness.naive_writer import mark_first
from tests.faults.harness.world import World
from tests.faults.outage import TROUBLES, Trouble, go_through
from tests.faults.wire import Shape


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_a_trouble_passes(world: World, proxy: FaultProxy, trouble: Trouble) -> None:
    outage = go_through(world, proxy, trouble, seed_of_environment())
    note([outage.row()])
    assert outage.failed > 0
    assert outage.slowest_seconds < trouble.invocation_seconds
    assert outage.figures.problems == {}
    assert outage.unnecessary == []
    assert outage.drained_after == 1


def test_a_writer_that_marks_first_is_caught_losing(world: World, proxy: FaultProxy) -> None:
    refusing = next(trouble for trouble in TROUBLES if trouble.name == "Catalog refuses connections")
    outage = go_through(world, proxy, refusing, seed_of_environment(), mark_first, Shape.DIRECT)
    note([outage.row()])
    assert len(outage.figures.lost) > 0
