"""Eight writers on one table, each a process of its own, against one writer alone."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from statistics import median
from types import TracebackType
from typing import Any, Final

from benchmarks.events import sales_of_one_partition
from benchmarks.measuring import Bench
from benchmarks.report import Row, paired_ratio
from benchmarks.stand import Stand, Stores
from benchmarks.writers import PlainWriter, our_writer
from lambda_fn.ports import Landed
from lambda_fn.sale import Sale

WRITERS: Final = 8
APPENDS: Final = 96
"""In all, whether by one writer or by eight."""
DELAY_MILLISECONDS: Final = 25
SALES: Final = 5
SHARE: Final = 0.75
_TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Done:
    """What one writer did. Times are seconds on the machine's monotonic clock, the same for all processes."""

    started: float
    ended: float
    landed: int
    failed: int
    conflicts: int


def eight_writers(bench: Bench) -> list[Row]:
    """Let one writer append, then eight, ours and pyiceberg's."""
    rates: dict[str, list[float]] = {"one": [], "eight": [], "one plain": [], "eight plain": []}
    failed = {"ours": 0, "plain": 0}
    conflicts = 0
    repetitions = bench.repetitions(3)
    bench.step(f"starting {WRITERS} processes")
    bench.stand.delay(DELAY_MILLISECONDS)
    with Writers() as team:
        for number in range(repetitions):
            # pyiceberg's figure is only shown, and takes long: once will do.
            for kind, suffix in (("ours", ""), ("plain", " plain"))[: 1 if number else 2]:
                for label, writers in (("one", 1), ("eight", WRITERS)):
                    bench.step(f"{label}, {kind}: {number + 1} of {repetitions}")
                    done = team.run(bench.stand, bench.stand.stores(), kind, writers)
                    rates[label + suffix].append(_rate(done))
                    failed[kind] += sum(one.failed for one in done)
                    conflicts += sum(one.conflicts for one in done)
    bench.stand.delay(0)
    bench.note(
        f"{WRITERS} writers",
        conflicts_for_each_append=round(conflicts / repetitions / APPENDS, 2),
        ours_failed=failed["ours"],
        plain_failed=f"{failed['plain']} of {APPENDS * len(rates['eight plain'])}",
    )
    share = paired_ratio(rates["eight"], rates["one"])
    return [
        Row(
            f"{WRITERS} writers on one table; anchor: one writer",
            "commits/s",
            rates["eight"],
            f">= {SHARE} x, every append lands",
            met=share >= SHARE and not failed["ours"],
            anchor=rates["one"],
            ratio=share,
        ),
        Row(
            f"{WRITERS} writers on one table that do not land; anchor: Table.append",
            "% of appends",
            [100 * failed["ours"] / (APPENDS * repetitions)],
            "0",
            met=not failed["ours"],
            anchor=[100 * failed["plain"] / (APPENDS * len(rates["eight plain"]))],
        ),
        Row(
            f"{WRITERS} writers on one table, Table.append; anchor: one of them",
            "commits/s",
            rates["eight plain"],
            "",
            met=None,
            anchor=rates["one plain"],
            ratio=median(rates["eight plain"]) / median(rates["one plain"]),
        ),
    ]


def _rate(done: Sequence[Done]) -> float:
    seconds = max(one.ended for one in done) - min(one.started for one in done)
    return sum(one.landed for one in done) / seconds


class Writers:
    """Processes that are there before the clock starts."""

    def __enter__(self) -> Writers:
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(WRITERS)
        self._pool = context.Pool(WRITERS, _begin, (barrier,))
        self._pool.starmap(_wait, [()] * WRITERS, chunksize=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.terminate()
        self._pool.join()

    def run(self, stand: Stand, stores: Stores, kind: str, writers: int) -> list[Done]:
        """Have so many of them append, all at the same time."""
        work = [(stand, stores, kind, writers)] * writers
        return self._pool.starmap_async(_write, work, chunksize=1).get(_TIMEOUT_SECONDS)


def _begin(barrier: Barrier) -> None:
    logging.disable()  # pyiceberg tells of each of its retries.
    _shared["barrier"] = barrier


def _wait() -> None:
    """Wait until every process is here: none of them can take two tasks while all have to arrive."""
    _shared["barrier"].wait(_TIMEOUT_SECONDS)


_shared: Final[dict[str, Any]] = {}


def _write(stand: Stand, stores: Stores, kind: str, writers: int) -> Done:
    appends = APPENDS // writers
    work = [sales_of_one_partition(SALES) for _ in range(appends)]
    append = _our_append(stand, stores) if kind == "ours" else _plain_append(stand, stores)
    append(sales_of_one_partition(SALES))  # The first one opens connections, whether there are one or eight writers.
    if writers == WRITERS:
        _wait()
    started = time.monotonic()
    landed = conflicts = 0
    for sales in work:
        succeeded, lost = append(sales)
        landed += succeeded
        conflicts += lost
    return Done(started, time.monotonic(), landed, appends - landed, conflicts)


def _our_append(stand: Stand, stores: Stores) -> Any:
    writer = our_writer(stand, stores)

    def append(sales: Sequence[Sale]) -> tuple[bool, int]:
        result = writer.append(sales)
        return isinstance(result, Landed), result.conflicts

    return append


def _plain_append(stand: Stand, stores: Stores) -> Any:
    writer = PlainWriter(stand.plain_table(stores))

    def append(sales: Sequence[Sale]) -> tuple[bool, int]:
        try:
            writer.append(sales)
        except Exception:  # Whatever it raises, the append is not known to have landed.
            return False, 0
        return True, 0

    return append
