"""Which requests fail in which way: every single one, and pairs over two deliveries."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from tests.faults.harness.fault_proxy import Fault, FaultProxy, Service
from tests.faults.harness.figures import Figures
from tests.faults.harness.kinds import KINDS
from tests.faults.harness.world import World
from tests.faults.wire import OVERTAKEN_AFTER, OVERTAKEN_BEFORE, Bench, Shape, Subject, carousel_sync

MOST_REQUESTS: Final = 40
"""No invocation makes as many with one sale or two, whatever fails: a plan that comes here counts wrongly."""
REQUESTS_OF_A_FRESH_PROCESS: Final = 5
"""The catalog's configuration, the table's head, claim, look-up, the head's manifest list; then as a warm one's."""
ROUNDS_FOR_A_TABLE: Final = 40
"""A table's metadata grows with each snapshot; a new one is cheaper than reading a long history again and again."""
REQUESTS: Final[Mapping[Shape, tuple[int, int]]] = {Shape.BATCH: (11, 13), Shape.DIRECT: (9, 11)}
"""The most requests of a first delivery and of one that takes over, poison included."""
REQUESTS_OF_A_NAIVE_WRITER: Final[Mapping[Shape, tuple[int, int]]] = {Shape.DIRECT: (12, 12)}
"""The same of a writer that takes single events, and appends with Table.append."""


def play_every_request(bench: Bench, fault: Fault, shape: Shape) -> int:
    """Fail each request of an invocation in turn, each in a round of its own. Returns how many there were."""
    for number in range(MOST_REQUESTS):
        before = bench.figures.faults
        bench.play(bench.round(shape), [(number, fault)], [bench.warm])
        if bench.figures.faults == before:
            return number
    raise AssertionError(f"More than {MOST_REQUESTS} requests: {bench.figures}")


def play_fresh_processes(bench: Bench, fault: Fault, shape: Shape, requests: int) -> None:
    """Fail each of the first requests of a fresh process in turn."""
    for number in range(requests):
        bench.play(bench.round(shape), [(number, fault)], [bench.cold()])


def play_overtaken(bench: Bench, fault: Fault, shape: Shape) -> int:
    """Stop an invocation at each request in turn, while another one does its work. Returns how many there were."""
    for number in range(MOST_REQUESTS):
        invocation = bench.play_overtaken(bench.round(shape), number, fault, bench.warm)
        if not invocation.injected:
            return number
    raise AssertionError(f"More than {MOST_REQUESTS} requests: {bench.figures}")


def play_everything(
    world: World, proxy: FaultProxy, subject: Subject = carousel_sync, shapes: Collection[Shape] = tuple(Shape)
) -> Iterator[tuple[str, Figures]]:
    """Play every kind of fault at every request of every shape, from fresh processes and from warm ones."""
    for fault in KINDS:
        bench = Bench(world.with_a_new_table(), proxy, subject)
        for shape in shapes:
            requests = play_every_request(bench, fault, shape)
            play_fresh_processes(bench, fault, shape, requests + REQUESTS_OF_A_FRESH_PROCESS)
        bench.check_letters()
        yield fault.name, bench.figures
    for fault in (OVERTAKEN_BEFORE, OVERTAKEN_AFTER):
        bench = Bench(world.with_a_new_table(), proxy, subject)
        for shape in shapes:
            play_overtaken(bench, fault, shape)
        bench.check_letters()
        yield fault.name, bench.figures


class Pair(NamedTuple):
    """A fault in the first delivery and one in the second, each with the number of its request."""

    shape: Shape
    first: tuple[int, Fault]
    second: tuple[int, Fault]


def all_pairs(seed: int, requests: Mapping[Shape, tuple[int, int]] = REQUESTS) -> list[Pair]:
    """Return every pair, in an order that the seed decides."""
    pairs = [
        Pair(shape, (one, kind), (other, other_kind))
        for shape, (first, second) in requests.items()
        for one, kind, other, other_kind in itertools.product(range(first), KINDS, range(second), KINDS)
    ]
    random.Random(seed).shuffle(pairs)
    return pairs


def play_pairs(
    world: World, proxy: FaultProxy, pairs: list[Pair], seconds: float, subject: Subject = carousel_sync
) -> tuple[Figures, int]:
    """Play pairs until the time is over. Returns the figures, and how many pairs were played."""
    figures, played = Figures(), 0
    until = time.monotonic() + seconds
    while played < len(pairs) and time.monotonic() < until:
        bench = Bench(world.with_a_new_table(), proxy, subject)
        for pair in pairs[played : played + ROUNDS_FOR_A_TABLE]:
            if time.monotonic() >= until:
                break
            bench.play(bench.round(pair.shape), [pair.first, pair.second], [bench.warm, bench.warm])
            played += 1
        bench.check_letters()
        figures += bench.figures
    return figures, played


def services_of(bench: Bench, shape: Shape) -> set[Service]:
    """Return whom a delivery without faults sends requests to."""
    return {request.service for request in bench.deliver(bench.round(shape), bench.cold()).requests}
