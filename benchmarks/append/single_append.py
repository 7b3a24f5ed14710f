"""One append: its requests on the wire, and its duration when each request takes 25 ms longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.append.writers import FILES, Append, Floor, our_append, plain_rows, plain_table
from benchmarks.measuring import Bench, alternate, paired_ratio, timed
from benchmarks.report import Row
from testbed.latency_proxy import RecordedRequest
from testbed.proxied_emulator import ProxiedEmulator, counted, max_concurrent
from testbed.sales import one_partition_sales
from testbed.stores import Stores

DELAY_MILLISECONDS: Final = 25
SALES: Final = 20
WARM_UP: Final = 3

MAX_FLOOR_RATIO: Final = 1.4
MIN_TIMES_FASTER: Final = 4.5


def requests_of_one_append(bench: Bench) -> list[Row]:
    """Count the requests of one append of a warm writer, ours and pyiceberg's."""
    emulator, stores = bench.emulator, bench.emulator.create_stores()
    ours = _requests_of(emulator, _our_repetition(our_append(stores, emulator.proxy)))
    bench.note("requests of our append", ours=dict(counted(ours)))
    plain = _requests_of(emulator, _plain_repetition(emulator, stores))
    bench.note("requests of Table.append", plain=dict(counted(plain)))
    bench.chart_data.timelines |= {"ours": ours, "pyiceberg Table.append": plain}
    uploads = [request for request in ours if request.service == "s3"]
    return [
        Row(
            "one commit, requests to S3 and the catalog",
            "requests",
            [len(ours)],
            [len(plain)],
            len(plain) / len(ours),
            f"{FILES} PUTs that overlap + 1 commit",
            counted(ours) == {"s3 PUT": FILES, "catalog POST": 1} and max_concurrent(uploads) == FILES,
        )
    ]


def time_of_one_append(bench: Bench) -> list[Row]:
    """Time an append, ours, pyiceberg's and the floor, in turn."""
    emulator = bench.emulator
    measured = {
        "floor": _floor_repetition(emulator),
        "ours": _our_repetition(our_append(emulator.create_stores(), emulator.proxy)),
        "pyiceberg": _plain_repetition(emulator, emulator.create_stores()),
    }
    emulator.delay(DELAY_MILLISECONDS)
    times = alternate(bench, measured, bench.repetitions(15), WARM_UP)
    emulator.delay(0)
    over_floor = paired_ratio(times["ours"], times["floor"])
    faster = paired_ratio(times["pyiceberg"], times["ours"])
    name = f"one append, {DELAY_MILLISECONDS} ms added to each request"
    return [
        Row(
            f"{name}; anchor: the floor",
            "ms",
            times["ours"],
            times["floor"],
            over_floor,
            f"<= {MAX_FLOOR_RATIO} x the floor",
            over_floor <= MAX_FLOOR_RATIO,
        ),
        Row(
            f"{name}; anchor: Table.append",
            "ms",
            times["ours"],
            times["pyiceberg"],
            faster,
            f">= {MIN_TIMES_FASTER} x faster",
            faster >= MIN_TIMES_FASTER,
        ),
    ]


def _requests_of(emulator: ProxiedEmulator, repetition: Callable[[], float]) -> list[RecordedRequest]:
    for _ in range(WARM_UP):
        repetition()
    emulator.delay(DELAY_MILLISECONDS)
    repetition()
    requests = emulator.requests()
    emulator.delay(0)
    return requests


def _our_repetition(append: Append) -> Callable[[], float]:
    return timed(lambda: one_partition_sales(SALES), append)


def _plain_repetition(emulator: ProxiedEmulator, stores: Stores) -> Callable[[], float]:
    table = plain_table(stores, emulator.proxy)
    return timed(lambda: plain_rows(one_partition_sales(SALES), table.schema()), table.append)


def _floor_repetition(emulator: ProxiedEmulator) -> Callable[[], float]:
    stores = emulator.create_stores()
    append = our_append(stores, emulator.proxy)
    for _ in range(WARM_UP):
        append(one_partition_sales(SALES))
    with emulator.recording_bodies():
        emulator.delay(0)
        append(one_partition_sales(SALES))
        floor = Floor(emulator, stores, emulator.requests())
    return timed(floor.prepare, floor.send)
