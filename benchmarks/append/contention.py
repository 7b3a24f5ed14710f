"""Eight writers on one table, each in its own process, against one writer alone."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from statistics import median
from types import TracebackType
from typing import Any, Final

from benchmarks.append.writers import plain_rows, plain_table
from benchmarks.measuring import Bench, paired_ratio
from benchmarks.report import Row
from lambda_fn.ports import Landed
from lambda_fn.sale import Sale
from testbed.function import TableWriter
from testbed.sales import one_partition_sales
from testbed.stores import Stores

WRITERS: Final = 8
APPENDS: Final = 96
"""In total, whether by one writer or by eight."""
DELAY_MILLISECONDS: Final = 25
SALES: Final = 5
MIN_SHARE: Final = 0.75
_TIMEOUT_SECONDS: Final = 120.0

Append = Callable[[Sequence[Sale]], tuple[bool, int]]
"""Returns whether the append landed, and after how many conflicts."""


@dataclass(frozen=True)
class Work:
    """What one writer did. Times are seconds on the machine's monotonic clock, the same for all processes."""

    started: float
    ended: float
    landed: int
    failed: int
    conflicts: int


def eight_writers(bench: Bench) -> list[Row]:
    """Let one writer append, then eight, ours and pyiceberg's."""
    rates: dict[tuple[str, int], list[float]] = {(name, n): [] for name in _APPENDS for n in (1, WRITERS)}
    failed = dict.fromkeys(_APPENDS, 0)
    conflicts = 0
    repetitions = bench.repetitions(3)
    bench.step(f"starting {WRITERS} processes")
    bench.emulator.delay(DELAY_MILLISECONDS)
    with WriterPool() as pool:
        for number in range(repetitions):
            # pyiceberg's figure has no target and takes long to measure: once is enough.
            for name in list(_APPENDS)[: 1 if number else 2]:
                for writers in (1, WRITERS):
                    bench.step(f"{name}, {writers} writers: {number + 1} of {repetitions}")
                    work = pool.run(bench.emulator.create_stores(), bench.emulator.proxy, name, writers)
                    rates[name, writers].append(_commits_per_second(work))
                    failed[name] += sum(each.failed for each in work)
                    conflicts += sum(each.conflicts for each in work)
    bench.emulator.delay(0)
    plain_appends = APPENDS * len(rates["plain", WRITERS])
    bench.note(
        f"{WRITERS} writers",
        conflicts_for_each_append=round(conflicts / repetitions / APPENDS, 2),
        ours_failed=failed["ours"],
        plain_failed=f"{failed['plain']} of {plain_appends}",
    )
    share = paired_ratio(rates["ours", WRITERS], rates["ours", 1])
    return [
        Row(
            f"{WRITERS} writers on one table; anchor: one writer",
            "commits/s",
            rates["ours", WRITERS],
            rates["ours", 1],
            share,
            f">= {MIN_SHARE} x, every append lands",
            share >= MIN_SHARE and not failed["ours"],
        ),
        Row(
            f"{WRITERS} writers on one table that do not land; anchor: Table.append",
            "% of appends",
            [100 * failed["ours"] / (APPENDS * repetitions)],
            [100 * failed["plain"] / plain_appends],
            target="0",
            met=not failed["ours"],
        ),
        Row(
            f"{WRITERS} writers on one table, Table.append; anchor: one of them",
            "commits/s",
            rates["plain", WRITERS],
            rates["plain", 1],
            median(rates["plain", WRITERS]) / median(rates["plain", 1]),
        ),
    ]


def _commits_per_second(work: Sequence[Work]) -> float:
    seconds = max(each.ended for each in work) - min(each.started for each in work)
    return sum(each.landed for each in work) / seconds


class WriterPool:
    """Processes that are ready before the clock starts."""

    def __enter__(self) -> WriterPool:
        context = multiprocessing.get_context("spawn")
        self._pool = context.Pool(WRITERS, _initialise, (context.Barrier(WRITERS),))
        self._pool.starmap(_wait_for_all, [()] * WRITERS, chunksize=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.terminate()
        self._pool.join()

    def run(self, stores: Stores, endpoint: str, name: str, writers: int) -> list[Work]:
        """Let some of the processes append at the same time."""
        arguments = [(stores, endpoint, name, writers)] * writers
        return self._pool.starmap_async(_write, arguments, chunksize=1).get(_TIMEOUT_SECONDS)


_shared: Final[dict[str, Any]] = {}


def _initialise(barrier: Barrier) -> None:
    logging.disable()  # pyiceberg logs each of its retries.
    _shared["barrier"] = barrier


def _wait_for_all() -> None:
    """Wait until every process has arrived, so that none of them takes two tasks."""
    _shared["barrier"].wait(_TIMEOUT_SECONDS)


def _write(stores: Stores, endpoint: str, name: str, writers: int) -> Work:
    appends = APPENDS // writers
    batches = [one_partition_sales(SALES) for _ in range(appends)]
    append = _APPENDS[name](stores, endpoint)
    append(one_partition_sales(SALES))  # The first append opens connections, however many writers there are.
    if writers == WRITERS:
        _wait_for_all()
    started = time.monotonic()
    results = [append(sales) for sales in batches]
    landed = sum(succeeded for succeeded, _ in results)
    return Work(started, time.monotonic(), landed, appends - landed, sum(conflicts for _, conflicts in results))


def _our_append(stores: Stores, endpoint: str) -> Append:
    writer = TableWriter(stores.settings(endpoint))

    def append(sales: Sequence[Sale]) -> tuple[bool, int]:
        result = writer.append(sales)
        return isinstance(result, Landed), result.conflicts

    return append


def _plain_append(stores: Stores, endpoint: str) -> Append:
    table = plain_table(stores, endpoint)

    def append(sales: Sequence[Sale]) -> tuple[bool, int]:
        try:
            table.append(plain_rows(sales, table.schema()))
        except Exception:  # Whatever it raises, the append is not known to have landed.
            return False, 0
        return True, 0

    return append


_APPENDS: Final = {"ours": _our_append, "plain": _plain_append}
