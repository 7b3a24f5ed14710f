"""Eight writers on one table, each in its own process, against one writer alone."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from statistics import median
from typing import Final

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


@dataclass
class Totals:
    """The work of some writers in all repetitions. ``rates`` has the commits per second of each repetition."""

    rates: list[float] = field(default_factory=list)
    appends: int = 0
    failed: int = 0
    conflicts: int = 0


def eight_writers(bench: Bench) -> list[Row]:
    """Let one writer append, then eight, ours and pyiceberg's."""
    totals = _measure(bench)
    alone, ours = totals["ours", 1], totals["ours", WRITERS]
    plain_alone, plain = totals["plain", 1], totals["plain", WRITERS]
    failed = alone.failed + ours.failed
    bench.note(
        f"{WRITERS} writers",
        conflicts_for_each_append=round(ours.conflicts / ours.appends, 2),
        ours_failed=failed,
        plain_failed=f"{plain.failed} of {plain.appends}",
    )
    share, plain_share = paired_ratio(ours.rates, alone.rates), median(plain.rates) / median(plain_alone.rates)
    failures = [100 * ours.failed / ours.appends], [100 * plain.failed / plain.appends]
    name, unit = f"{WRITERS} writers on one table", "commits/s"
    target, met = f">= {MIN_SHARE} x, every append lands", share >= MIN_SHARE and not failed
    not_landed = f"{name} that do not land; anchor: Table.append"
    return [
        Row(f"{name}; anchor: one writer", unit, ours.rates, alone.rates, share, target, met),
        Row(not_landed, "% of appends", *failures, target="0", met=not failed),
        Row(f"{name}, Table.append; anchor: one of them", unit, plain.rates, plain_alone.rates, plain_share),
    ]


def _measure(bench: Bench) -> dict[tuple[str, int], Totals]:
    """Return the totals by the name of the append and the number of writers."""
    totals = {(name, writers): Totals() for name in _APPENDS for writers in (1, WRITERS)}
    repetitions = bench.repetitions(3)
    bench.step(f"starting {WRITERS} processes")
    bench.emulator.delay(DELAY_MILLISECONDS)
    with _writer_processes() as executor:
        for number in range(repetitions):
            for (name, writers), total in totals.items():
                if number and name == "plain":
                    continue  # It has no target and takes long to measure: once is enough.
                bench.step(f"{name}, {writers} writers: {number + 1} of {repetitions}")
                arguments = (bench.emulator.create_stores(), bench.emulator.proxy, name, writers)
                tasks = [executor.submit(_write, *arguments) for _ in range(writers)]
                work = [task.result(_TIMEOUT_SECONDS) for task in tasks]
                results = [result for _, _, results in work for result in results]
                landed = sum(succeeded for succeeded, _ in results)
                total.rates.append(landed / (max(ended for _, ended, _ in work) - min(started for started, *_ in work)))
                total.appends += len(results)
                total.failed += len(results) - landed
                total.conflicts += sum(conflicts for _, conflicts in results)
    bench.emulator.delay(0)
    return totals


@contextmanager
def _writer_processes() -> Iterator[ProcessPoolExecutor]:
    """Start the processes, and wait until all are ready."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WRITERS, context, _initialise, (context.Barrier(WRITERS),)) as executor:
        wait([executor.submit(_wait_for_all) for _ in range(WRITERS)], _TIMEOUT_SECONDS)
        yield executor


_barriers: Final[list[Barrier]] = []


def _initialise(barrier: Barrier) -> None:
    logging.disable()  # pyiceberg logs each of its retries.
    _barriers.append(barrier)


def _wait_for_all() -> None:
    """Wait until every process has arrived, so that none of them takes two tasks."""
    _barriers[0].wait(_TIMEOUT_SECONDS)


def _write(stores: Stores, endpoint: str, name: str, writers: int) -> tuple[float, float, list[tuple[bool, int]]]:
    """Return the start and the end on the machine's monotonic clock, the same for all processes, and the results."""
    batches = [one_partition_sales(SALES) for _ in range(APPENDS // writers)]
    append = _APPENDS[name](stores, endpoint)
    append(one_partition_sales(SALES))  # The first append opens connections, however many writers there are.
    if writers == WRITERS:
        _wait_for_all()
    started = time.monotonic()
    results = [append(sales) for sales in batches]
    return started, time.monotonic(), results


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
