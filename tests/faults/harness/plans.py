"""Which requests meet which faults: each request in turn, and pairs of requests over two deliveries."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from tests.faults.harness.fault_proxy import Fault, FaultProxy, Service
from tests.faults.harness.faults import ALL_FAULTS
from tests.faults.harness.figures import Figures
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.faults.wire import OVERTAKEN_AFTER, OVERTAKEN_BEFORE, RoundRunner, Shape, Subject, carousel_sync

MAX_REQUESTS: Final = 40
"""No invocation with one or two sales makes this many requests. A plan that reaches it has a defect."""
REQUESTS_OF_A_FRESH_PROCESS: Final = 5
"""The catalog's configuration, the table's head, claim, look-up, and the head's manifest list."""
ROUNDS_PER_TABLE: Final = 40
"""A table's metadata grows with each snapshot. A new table is cheaper than reading a long history again and again."""
REQUESTS: Final[Mapping[Shape, tuple[int, int]]] = {Shape.BATCH: (11, 13), Shape.DIRECT: (9, 11)}
"""The most requests of a first delivery and of one that takes over, including dead letters."""
REQUESTS_IN_A_GROUP: Final[Mapping[Shape, tuple[int, int]]] = {Shape.BATCH: (16, 18), Shape.DIRECT: (14, 16)}
"""The same with group commit forced on: five requests more."""
REQUESTS_OF_A_NAIVE_WRITER: Final[Mapping[Shape, tuple[int, int]]] = {Shape.DIRECT: (12, 12)}
"""The same for a writer of single events that appends with Table.append."""


def fail_every_request(runner: RoundRunner, fault: Fault, shape: Shape) -> int:
    """Fail each request of an invocation, in a separate round each. Returns the number of requests."""
    for number in range(MAX_REQUESTS):
        faults_before = runner.figures.faults
        runner.run(runner.new_round(shape), [(number, fault)], [runner.warm])
        if runner.figures.faults == faults_before:
            return number
    raise AssertionError(f"More than {MAX_REQUESTS} requests: {runner.figures}")


def fail_requests_of_fresh_processes(runner: RoundRunner, fault: Fault, shape: Shape, requests: int) -> None:
    """Fail each of the first requests of a fresh process."""
    for number in range(requests):
        runner.run(runner.new_round(shape), [(number, fault)], [runner.cold()])


def overtake_at_every_request(runner: RoundRunner, fault: Fault, shape: Shape) -> int:
    """Stop an invocation at each request while another one does its work. Returns the number of requests."""
    for number in range(MAX_REQUESTS):
        invocation = runner.run_overtaken(runner.new_round(shape), number, fault, runner.warm)
        if not invocation.injected:
            return number
    raise AssertionError(f"More than {MAX_REQUESTS} requests: {runner.figures}")


def inject_all_faults(
    stores: StoresUnderTest,
    proxy: FaultProxy,
    subject: Subject = carousel_sync,
    shapes: Collection[Shape] = tuple(Shape),
) -> Iterator[tuple[str, Figures]]:
    """Inject every fault into every request of every shape, in fresh and in warm processes."""
    for fault in ALL_FAULTS:
        runner = RoundRunner(stores.with_new_table(), proxy, subject)
        for shape in shapes:
            requests = fail_every_request(runner, fault, shape)
            fail_requests_of_fresh_processes(runner, fault, shape, requests + REQUESTS_OF_A_FRESH_PROCESS)
        runner.check_letters()
        yield fault.name, runner.figures
    for fault in (OVERTAKEN_BEFORE, OVERTAKEN_AFTER):
        runner = RoundRunner(stores.with_new_table(), proxy, subject)
        for shape in shapes:
            overtake_at_every_request(runner, fault, shape)
        runner.check_letters()
        yield fault.name, runner.figures


class Pair(NamedTuple):
    """A fault in the first delivery and one in the second, each with the number of its request."""

    shape: Shape
    first: tuple[int, Fault]
    second: tuple[int, Fault]


def all_pairs(seed: int, requests: Mapping[Shape, tuple[int, int]] = REQUESTS) -> list[Pair]:
    """Return every pair, in an order that the seed determines."""
    pairs = [
        Pair(shape, (number, fault), (other_number, other_fault))
        for shape, (first, second) in requests.items()
        for number, fault, other_number, other_fault in itertools.product(
            range(first), ALL_FAULTS, range(second), ALL_FAULTS
        )
    ]
    random.Random(seed).shuffle(pairs)
    return pairs


def inject_pairs(
    stores: StoresUnderTest, proxy: FaultProxy, pairs: list[Pair], seconds: float, subject: Subject = carousel_sync
) -> tuple[Figures, int]:
    """Inject pairs until the time is over. Returns the figures and the number of pairs."""
    figures, done = Figures(), 0
    end = time.monotonic() + seconds
    while done < len(pairs) and time.monotonic() < end:
        runner = RoundRunner(stores.with_new_table(), proxy, subject)
        for pair in pairs[done : done + ROUNDS_PER_TABLE]:
            if time.monotonic() >= end:
                break
            runner.run(runner.new_round(pair.shape), [pair.first, pair.second], [runner.warm, runner.warm])
            done += 1
        runner.check_letters()
        figures += runner.figures
    return figures, done


def services_of(runner: RoundRunner, shape: Shape) -> set[Service]:
    """Return the services that a delivery without faults sends requests to."""
    return {request.service for request in runner.deliver(runner.new_round(shape), runner.cold()).requests}
