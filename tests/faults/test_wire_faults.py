"""Each request of an invocation meets each fault: no sale is lost or duplicated, and the next delivery completes it.

make test-engines runs the same with group commit forced on: with make test, that would take too long.

Controls: in the same rounds, a writer that marks an event before it writes loses sales, and a writer that relies on
the table library's retries duplicates them.
"""

from __future__ import annotations

import pytest

from tests.faults.harness import faults
from tests.faults.harness.fault_proxy import Fault, FaultProxy, Service
from tests.faults.harness.figures import print_table
from tests.faults.harness.naive_writer import mark_first, mark_last
from tests.faults.harness.plans import (
    REQUESTS_OF_A_FRESH_PROCESS,
    fail_every_request,
    fail_requests_of_fresh_processes,
    overtake_at_every_request,
    services_of,
)
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.faults.wire import OVERTAKEN_AFTER, OVERTAKEN_BEFORE, RoundRunner, Shape, Subject, carousel_sync, in_groups

# Dead letters, claim, look-up, data file, manifest, manifest list, commit, item, completion.
REQUESTS_OF_A_BATCH = 9
# The lease is read and taken, the queue is read, the head is loaded, and the lease is freed.
REQUESTS_OF_A_LEADER = 5
# Scans add few requests to those of every delivery, so a selection of faults is enough.
FAULTS_FOR_SCANS = (faults.DROPPED, faults.LATE, faults.TRUNCATED, faults.GARBLED, faults.THROTTLED)


@pytest.fixture
def runner(stores: StoresUnderTest, proxy: FaultProxy) -> RoundRunner:
    return RoundRunner(stores.with_new_table(), proxy)


def test_a_round_sends_requests_to_every_service(runner: RoundRunner) -> None:
    assert services_of(runner, Shape.BATCH) == set(Service)


@pytest.mark.parametrize("fault", faults.ALL_FAULTS, ids=lambda fault: fault.name)
def test_any_request_may_fail(runner: RoundRunner, fault: Fault) -> None:
    assert fail_every_request(runner, fault, Shape.BATCH) >= REQUESTS_OF_A_BATCH
    assert fail_every_request(runner, fault, Shape.DIRECT) >= REQUESTS_OF_A_BATCH - 1
    fail_requests_of_fresh_processes(runner, fault, Shape.DIRECT, REQUESTS_OF_A_FRESH_PROCESS)
    runner.check_letters()
    print_table(runner.figures.row(fault.name))
    assert runner.figures.problems == {}


@pytest.mark.engine
@pytest.mark.parametrize("fault", faults.ALL_FAULTS, ids=lambda fault: fault.name)
def test_any_request_may_fail_in_group_commit(stores: StoresUnderTest, proxy: FaultProxy, fault: Fault) -> None:
    runner = RoundRunner(stores.with_new_table(), proxy, in_groups)
    assert fail_every_request(runner, fault, Shape.DIRECT) >= REQUESTS_OF_A_BATCH - 1 + REQUESTS_OF_A_LEADER
    print_table(runner.figures.row(f"{fault.name}, in groups"))
    assert runner.figures.problems == {}


@pytest.mark.parametrize("fault", FAULTS_FOR_SCANS, ids=lambda fault: fault.name)
def test_any_request_may_fail_where_the_table_is_scanned(runner: RoundRunner, fault: Fault) -> None:
    # Sales whose item would already have expired get none: the request that puts the items is missing.
    assert fail_every_request(runner, fault, Shape.EXPIRED) >= REQUESTS_OF_A_BATCH - 1
    print_table(runner.figures.row(fault.name))
    assert runner.figures.problems == {}


@pytest.mark.parametrize("subject", [carousel_sync, pytest.param(in_groups, marks=pytest.mark.engine)])
@pytest.mark.parametrize("fault", [OVERTAKEN_BEFORE, OVERTAKEN_AFTER], ids=lambda fault: fault.name)
def test_a_delivery_may_be_overtaken_at_any_request(
    stores: StoresUnderTest, proxy: FaultProxy, fault: Fault, subject: Subject
) -> None:
    runner = RoundRunner(stores.with_new_table(), proxy, subject)
    assert overtake_at_every_request(runner, fault, Shape.BATCH) >= REQUESTS_OF_A_BATCH
    runner.check_letters()
    print_table(runner.figures.row(fault.name))
    assert runner.figures.problems == {}


def test_an_overtaken_writer_that_marks_last_is_caught_duplicating(stores: StoresUnderTest, proxy: FaultProxy) -> None:
    runner = RoundRunner(stores.with_new_table(), proxy, mark_last)
    overtake_at_every_request(runner, OVERTAKEN_BEFORE, Shape.DIRECT)
    print_table(runner.figures.row("marks last, overtaken"))
    assert len(runner.figures.doubled) > 0


def test_a_writer_that_marks_first_is_caught_losing_sales(stores: StoresUnderTest, proxy: FaultProxy) -> None:
    runner = RoundRunner(stores.with_new_table(), proxy, mark_first)
    for fault in (faults.DROPPED, faults.REFUSALS[-1]):
        fail_every_request(runner, fault, Shape.DIRECT)
    print_table(runner.figures.row("marks first"))
    assert len(runner.figures.lost) > 0


def test_a_writer_that_trusts_library_retries_is_caught_duplicating(stores: StoresUnderTest, proxy: FaultProxy) -> None:
    runner = RoundRunner(stores.with_new_table(), proxy, mark_last)
    for fault in (faults.ANSWER_LOST, faults.REFUSALS_AFTER[0]):
        fail_every_request(runner, fault, Shape.DIRECT)
    print_table(runner.figures.row("marks last"))
    assert len(runner.figures.doubled) > 0
