"""Warm writers in the threads of a few processes, each of which writes one batch of sales after the other.

A process is far cheaper than one per writer, and two of them use both cores.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.group_commit.writer_kinds import Kind, Writer, make_writer
from carousel_sync.bench.figures import percentile
from testbed.stores import Stores

PROCESSES: Final = 2
START_SECONDS: Final = 0.5
"""Enough time for every process to receive the call, and for every thread to be waiting."""
_TIMEOUT_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Landing:
    """One batch. ``ended`` is on the machine's monotonic clock, the same for all processes.

    ``landed`` is False if the writer raised: then the batch is not known to have landed.
    """

    sale_ids: tuple[str, ...]
    seconds: float
    ended: float
    landed: bool


@dataclass(frozen=True)
class Run:
    """All batches that began after a moment on the machine's monotonic clock, and their CPU time."""

    start: float
    landings: list[Landing]
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """The batches per second that landed, until the last one did: it may have begun just before the end."""
        seconds = max(landing.ended for landing in self.landings) - self.start
        return sum(landing.landed for landing in self.landings) / seconds

    def milliseconds(self, percent: float) -> float:
        """Return a percentile of the batches' times."""
        return percentile(sorted(1000 * landing.seconds for landing in self.landings), percent)


class Writers:
    """The writers of all kinds, each prepared once and warm from then on."""

    def __init__(self, processes: list[ProcessPoolExecutor], endpoint: str) -> None:
        self._processes = processes
        self._endpoint = endpoint

    def prepare(self, kind: Kind, stores: Stores, writers: int) -> None:
        """Make so many writers of a kind, and let each warm up."""
        shares = [len(range(number, writers, len(self._processes))) for number in range(len(self._processes))]
        tasks = [
            each.submit(_prepare, kind, stores, self._endpoint, share)
            for each, share in zip(self._processes, shares, strict=True)
        ]
        for task in tasks:
            task.result(_TIMEOUT_SECONDS)

    def run(self, kind: Kind, seconds: float, batches: int = sys.maxsize) -> Run:
        """Let all writers of a kind write, each for so long or so many batches.

        What is under way in the end is waited for.
        """
        start = time.monotonic() + START_SECONDS
        tasks = [each.submit(_run, kind, start, start + seconds, batches) for each in self._processes]
        results = [task.result(seconds + _TIMEOUT_SECONDS) for task in tasks]
        landings = [landing for each, _ in results for landing in each]
        return Run(start, landings, sum(cpu for _, cpu in results))


@contextmanager
def warm_writers(endpoint: str) -> Iterator[Writers]:
    """Start the processes of writers whose requests go to the endpoint."""
    context = multiprocessing.get_context("spawn")
    processes = [ProcessPoolExecutor(1, context, _initialise) for _ in range(PROCESSES)]
    try:
        yield Writers(processes, endpoint)
    finally:
        for each in processes:
            each.shutdown(cancel_futures=True)


# --- in a process of writers -----------------------------------------------------------------------------------------

_prepared: Final[dict[Kind, list[Writer]]] = {}


def _initialise() -> None:
    logging.disable()  # pyiceberg logs each of its retries.
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open for as long as the process lives)


def _prepare(kind: Kind, stores: Stores, endpoint: str, writers: int) -> None:
    _prepared[kind] = [make_writer(kind, stores, endpoint) for _ in range(writers)]
    for writer in _prepared[kind]:
        writer.warm_up()


def _run(kind: Kind, start: float, end: float, batches: int) -> tuple[list[Landing], float]:
    """Return what was written, and the seconds of CPU time that it took."""

    def write_until_the_end(writer: Writer) -> list[Landing]:
        time.sleep(max(0.0, start - time.monotonic()))
        landings: list[Landing] = []
        while time.monotonic() < end and len(landings) < batches:
            landings.append(_write(writer))
        return landings

    writers, cpu = _prepared[kind], time.process_time()
    if not writers:
        return [], 0.0
    with ThreadPoolExecutor(len(writers)) as threads:
        landings = [landing for each in threads.map(write_until_the_end, writers) for landing in each]
    return landings, time.process_time() - cpu


def _write(writer: Writer) -> Landing:
    batch = next(writer.batches)
    started = time.monotonic()
    try:
        writer.write(batch)
        landed = True
    except Exception:  # Whatever it raises, the batch is not known to have landed.
        landed = False
    ended = time.monotonic()
    return Landing(tuple(batch.sale_ids), ended - started, ended, landed)
