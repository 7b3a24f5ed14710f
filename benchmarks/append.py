"""One append: its requests on the wire, and its time when each of them takes 25 ms longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.events import sales_of_one_partition
from benchmarks.latency_proxy import Passed
from benchmarks.measuring import Bench, alternate
from benchmarks.report import Row, paired_ratio
from benchmarks.stand import Stand, Stores, counted, most_at_a_time
from benchmarks.writers import Floor, PlainWriter, landed, our_writer, plain_rows

DELAY_MILLISECONDS: Final = 25
SALES: Final = 20
WARM_UP: Final = 3

TIMES_THE_FLOOR: Final = 1.4
TIMES_FASTER: Final = 4.5
PUTS: Final = 3


def requests_of_one_commit(bench: Bench) -> list[Row]:
    """Count the requests of one append of a warm writer, ours and pyiceberg's."""
    stand, stores = bench.stand, bench.stand.stores()
    ours = passed_by(stand, _our_append(stand, stores))
    bench.note("requests of our append", ours=dict(counted(ours)))
    plain = passed_by(stand, _plain_append(stand, stores))
    bench.note("requests of Table.append", plain=dict(counted(plain)))
    bench.pictures.timelines["ours"] = ours
    bench.pictures.timelines["pyiceberg Table.append"] = plain
    uploads = [one for one in ours if one.service == "s3"]
    exact = counted(ours) == {"s3 PUT": PUTS, "catalog POST": 1} and most_at_a_time(uploads) == PUTS
    return [
        Row(
            "one commit, requests to S3 and the catalog",
            "requests",
            [len(ours)],
            "3 PUTs that overlap + 1 commit",
            met=exact,
            anchor=[len(plain)],
            ratio=len(plain) / len(ours),
        )
    ]


def time_of_one_append(bench: Bench) -> list[Row]:
    """Time an append, ours, pyiceberg's and the floor, one after the other, again and again."""
    stand = bench.stand
    ours, plain, floor = (stand.stores() for _ in range(3))
    our_append, plain_append = _our_append(stand, ours), _plain_append(stand, plain)
    floor_append = _floor_append(stand, floor)
    stand.delay(DELAY_MILLISECONDS)
    times = alternate(
        bench,
        {"floor": floor_append, "ours": our_append, "pyiceberg": plain_append},
        repetitions=bench.repetitions(15),
        warm_up=WARM_UP,
    )
    stand.delay(0)
    milliseconds = {name: [seconds * 1000 for seconds in samples] for name, samples in times.items()}
    over_floor = paired_ratio(times["ours"], times["floor"])
    faster = paired_ratio(times["pyiceberg"], times["ours"])
    return [
        Row(
            f"one append, {DELAY_MILLISECONDS} ms added to each request; anchor: the floor",
            "ms",
            milliseconds["ours"],
            f"<= {TIMES_THE_FLOOR} x the floor",
            met=over_floor <= TIMES_THE_FLOOR,
            anchor=milliseconds["floor"],
            ratio=over_floor,
        ),
        Row(
            f"one append, {DELAY_MILLISECONDS} ms added to each request; anchor: Table.append",
            "ms",
            milliseconds["ours"],
            f">= {TIMES_FASTER} x faster",
            met=faster >= TIMES_FASTER,
            anchor=milliseconds["pyiceberg"],
            ratio=faster,
        ),
    ]


def passed_by(stand: Stand, append: Callable[[], float]) -> list[Passed]:
    """Return the requests of one append by a warm writer."""
    for _ in range(WARM_UP):
        append()
    stand.delay(DELAY_MILLISECONDS)
    append()
    passed = stand.passed()
    stand.delay(0)
    return passed


def _our_append(stand: Stand, stores: Stores) -> Callable[[], float]:
    writer = our_writer(stand, stores)

    def append() -> float:
        sales = sales_of_one_partition(SALES)
        started = time.perf_counter()
        result = writer.append(sales)
        seconds = time.perf_counter() - started
        assert landed(result), result
        return seconds

    return append


def _plain_append(stand: Stand, stores: Stores) -> Callable[[], float]:
    table = stand.plain_table(stores)
    writer = PlainWriter(table)

    def append() -> float:
        rows: Any = plain_rows(sales_of_one_partition(SALES), table.schema())
        started = time.perf_counter()
        writer.append_rows(rows)
        return time.perf_counter() - started

    return append


def _floor_append(stand: Stand, stores: Stores) -> Callable[[], float]:
    append = _our_append(stand, stores)
    for _ in range(WARM_UP):
        append()
    with stand.recording():
        stand.delay(0)
        append()
        floor = Floor(stand, stores, stand.passed())

    def send() -> float:
        uploads, commit = floor.prepare()
        started = time.perf_counter()
        floor.send(uploads, commit)
        return time.perf_counter() - started

    return send
