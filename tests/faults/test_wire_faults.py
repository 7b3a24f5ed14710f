"""Every request of an invocation fails in every way: no sale is lost, none is doubled, and the next delivery ends it.

The controls: the same rounds catch a writer that marks an event before it writes losing sales, and one that leaves the
retries to the table library doubling them.
"""

from __future__ import annotations

import pytest

from tests.faults.harness import kinds
from tests.faults.harness.fault_proxy import Fault, FaultProxy, Service
from tests.faults.harness.figures import note
from tests.faults.harness.naive_writer import mark_first, mark_last
from tests.faults.harness.plans import (
    REQUESTS_OF_A_FRESH_PROCESS,
    play_every_request,
    play_fresh_processes,
    play_overtaken,
    services_of,
)
from tests.faults.harness.world import World
from tests.faults.wire import OVERTAKEN_AFTER, OVERTAKEN_BEFORE, Bench, Shape

# Dead letters, claim, look-up, data file, manifest, manifest list, commit, item, completion.
REQUESTS_OF_A_BATCH = 9
# What a scan meets, besides what every delivery does, differs from kind to kind by little.
KINDS_FOR_SCANS = (kinds.DROPPED, kinds.LATE, kinds.TRUNCATED, kinds.GARBLED, kinds.THROTTLED)


@pytest.fixture
def bench(world: World, proxy: FaultProxy) -> Bench:
    return Bench(world.with_a_new_table(), proxy)


def test_the_rounds_reach_every_service(bench: Bench) -> None:
    assert services_of(bench, Shape.BATCH) == set(Service)


@pytest.mark.parametrize("fault", kinds.KINDS, ids=lambda fault: fault.name)
def test_any_request_may_fail(bench: Bench, fault: Fault) -> None:
    assert play_every_request(bench, fault, Shape.BATCH) >= REQUESTS_OF_A_BATCH
    assert play_every_request(bench, fault, Shape.DIRECT) >= REQUESTS_OF_A_BATCH - 1
    play_fresh_processes(bench, fault, Shape.DIRECT, REQUESTS_OF_A_FRESH_PROCESS)
    bench.check_letters()
    note([bench.figures.row(fault.name)])
    assert bench.figures.problems == {}


@pytest.mark.parametrize("fault", KINDS_FOR_SCANS, ids=lambda fault: fault.name)
def test_any_request_may_fail_where_the_table_is_scanned(bench: Bench, fault: Fault) -> None:
    assert play_every_request(bench, fault, Shape.EXPIRED) >= REQUESTS_OF_A_BATCH
    note([bench.figures.row(fault.name)])
    assert bench.figures.problems == {}


@pytest.mark.parametrize("fault", [OVERTAKEN_BEFORE, OVERTAKEN_AFTER], ids=lambda fault: fault.name)
def test_a_delivery_may_be_overtaken_at_any_request(bench: Bench, fault: Fault) -> None:
    assert play_overtaken(bench, fault, Shape.BATCH) >= REQUESTS_OF_A_BATCH
    bench.check_letters()
    note([bench.figures.row(fault.name)])
    assert bench.figures.problems == {}


def test_a_writer_that_marks_last_is_caught_doubling_where_it_is_overtaken(world: World, proxy: FaultProxy) -> None:
    bench = Bench(world.with_a_new_table(), proxy, mark_last)
    play_overtaken(bench, OVERTAKEN_BEFORE, Shape.DIRECT)
    note([bench.figures.row("marks last, overtaken")])
    assert len(bench.figures.doubled) > 0


def test_a_writer_that_marks_first_is_caught_losing(world: World, proxy: FaultProxy) -> None:
    bench = Bench(world.with_a_new_table(), proxy, mark_first)
    for fault in (kinds.DROPPED, kinds.REFUSALS[-1]):
        play_every_request(bench, fault, Shape.DIRECT)
    note([bench.figures.row("marks first")])
    assert len(bench.figures.lost) > 0


def test_a_writer_that_trusts_the_library_s_retries_is_caught_doubling(world: World, proxy: FaultProxy) -> None:
    bench = Bench(world.with_a_new_table(), proxy, mark_last)
    for fault in (kinds.ANSWER_LOST, kinds.REFUSALS_AFTER[0]):
        play_every_request(bench, fault, Shape.DIRECT)
    note([bench.figures.row("marks last")])
    assert len(bench.figures.doubled) > 0
