"""Warm writers in the threads of a few processes. Each lands one sale after the other, as long as it is told to.

A process is far cheaper than one per writer, and two of them use both cores.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from benchmarks.append.writers import plain_rows
from benchmarks.invocation import plain_handler
from carousel_sync.bench.figures import percentile
from lambda_fn.event import parse_event
from lambda_fn.sale import Sale
from lambda_fn.settings import GroupCommitMode
from testbed.function import function_handler
from testbed.sales import one_partition_envelopes
from testbed.stores import Stores

PROCESSES: Final = 2
START_SECONDS: Final = 0.5
"""Enough time for every process to receive the call, and for every thread to be waiting."""
_TIMEOUT_SECONDS: Final = 180.0


class Side(StrEnum):
    """How the writers commit."""

    GROUPS = "in groups"
    ALONE = "alone"
    PLAIN = "Table.append"


@dataclass(frozen=True)
class Landing:
    """One invocation with one sale. ``ended`` is on the machine's monotonic clock, the same for all processes.

    ``landed`` is False if the writer raised: then the sale is not known to have landed.
    """

    sale_id: str
    seconds: float
    ended: float
    landed: bool


@dataclass(frozen=True)
class Run:
    """All invocations that began between two moments on the machine's monotonic clock, and their CPU time."""

    start: float
    end: float
    landings: list[Landing]
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """The sales per second that landed before the end."""
        landed = sum(landing.landed and landing.ended <= self.end for landing in self.landings)
        return landed / (self.end - self.start)

    def milliseconds(self, percent: float) -> float:
        """Return a percentile of the invocations' times."""
        return percentile(sorted(1000 * landing.seconds for landing in self.landings), percent)


Write = Callable[[dict[str, Any]], object]


class Writers:
    """The writers of all sides, each prepared once and warm from then on."""

    def __init__(self, processes: list[ProcessPoolExecutor], writers: int, endpoint: str) -> None:
        self._processes = processes
        self._each = writers // len(processes)
        self._endpoint = endpoint

    def prepare(self, side: Side, stores: Stores) -> None:
        """Make the writers of one side. Each opens its connections, and lands one sale unless it is the anchor's."""
        tasks = [each.submit(_prepare, side, stores, self._endpoint, self._each) for each in self._processes]
        for task in tasks:
            task.result(_TIMEOUT_SECONDS)

    def run(self, side: Side, seconds: float) -> Run:
        """Let all writers of one side land sales for this long. What is under way in the end is waited for."""
        start = time.monotonic() + START_SECONDS
        tasks = [each.submit(_run, side, start, start + seconds) for each in self._processes]
        results = [task.result(seconds + _TIMEOUT_SECONDS) for task in tasks]
        landings = [landing for each, _ in results for landing in each]
        return Run(start, start + seconds, landings, sum(cpu for _, cpu in results))


@contextmanager
def warm_writers(writers: int, endpoint: str) -> Iterator[Writers]:
    """Start the processes of this many writers, whose requests go to the endpoint."""
    context = multiprocessing.get_context("spawn")
    processes = [ProcessPoolExecutor(1, context, _initialise) for _ in range(PROCESSES)]
    try:
        yield Writers(processes, writers, endpoint)
    finally:
        for each in processes:
            each.shutdown(cancel_futures=True)


# --- in a process of writers -----------------------------------------------------------------------------------------

_prepared: Final[dict[Side, list[Write]]] = {}


def _initialise() -> None:
    logging.disable()  # pyiceberg logs each of its retries.
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open for as long as the process lives)


def _prepare(side: Side, stores: Stores, endpoint: str, writers: int) -> None:
    if side is Side.PLAIN:
        _prepared[side] = [_plain_writer(stores, endpoint) for _ in range(writers)]
        return
    _prepared[side] = [_our_writer(side, stores, endpoint) for _ in range(writers)]
    for write, envelope in zip(_prepared[side], envelopes(writers), strict=True):
        write(envelope)


def _run(side: Side, start: float, end: float) -> tuple[list[Landing], float]:
    """Return the invocations, and the seconds of CPU time that they took."""

    def land_until_the_end(write: Write) -> list[Landing]:
        sales = envelopes()
        time.sleep(max(0.0, start - time.monotonic()))
        landings: list[Landing] = []
        while time.monotonic() < end:
            landings.append(_land(write, next(sales)))
        return landings

    cpu = time.process_time()
    with ThreadPoolExecutor(len(_prepared[side])) as threads:
        landings = [landing for each in threads.map(land_until_the_end, _prepared[side]) for landing in each]
    return landings, time.process_time() - cpu


def _land(write: Write, envelope: dict[str, Any]) -> Landing:
    started = time.monotonic()
    try:
        write(envelope)
        landed = True
    except Exception:  # Whatever it raises, the sale is not known to have landed.
        landed = False
    ended = time.monotonic()
    return Landing(envelope["detail"]["saleId"], ended - started, ended, landed)


def envelopes(number: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield events of one tenant and month with random sale ids, which no other process yields, or so many of them."""
    (template,) = one_partition_envelopes(1, 0)
    while number is None or number > 0:
        event_id = str(uuid.uuid4())
        detail = {**template["detail"], "saleId": f"SALE-{event_id}"}
        yield {**template, "id": event_id, "detail": detail}
        number = None if number is None else number - 1


def _our_writer(side: Side, stores: Stores, endpoint: str) -> Write:
    mode = GroupCommitMode.OFF if side is Side.ALONE else GroupCommitMode.ADAPTIVE
    return function_handler(replace(stores.settings(endpoint), group_commit=mode))


def _plain_writer(stores: Stores, endpoint: str) -> Write:
    table = plain_handler.load_table(stores.environment(endpoint))

    def append(envelope: dict[str, Any]) -> None:
        content = parse_event("", envelope, "", "").content
        assert isinstance(content, Sale), content
        try:
            table.append(plain_rows([content], table.schema()))
        except Exception:
            table.refresh()  # The next append would start with the head that lost.
            raise

    return append
