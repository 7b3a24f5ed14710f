"""One append: its requests on the wire, and its duration when each request takes 25 ms longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.append.writers import FILES, Floor, our_append, plain_rows, plain_table
from benchmarks.measuring import Bench, paired_ratio, timed
from benchmarks.report import Row
from testbed.latency_proxy import RecordedRequest
from testbed.proxied_emulator import ProxiedEmulator, counted, max_concurrent
from testbed.sales import one_partition_sales

DELAY_MILLISECONDS: Final = 25
SALES: Final = 20
WARM_UP: Final = 3

MAX_FLOOR_RATIO: Final = 1.4
MIN_TIMES_FASTER: Final = 4.5


def requests_of_one_append(bench: Bench) -> list[Row]:
    """Count the requests of one append of a warm writer, ours and pyiceberg's."""
    ours = _requests_of(bench.emulator, _our_repetition(bench.emulator))
    bench.note("requests of our append", ours=dict(counted(ours)))
    plain = _requests_of(bench.emulator, _plain_repetition(bench.emulator))
    bench.note("requests of Table.append", plain=dict(counted(plain)))
    bench.chart_data.timelines |= {"ours": ours, "pyiceberg Table.append": plain}
    uploads = [request for request in ours if request.service == "s3"]
    met = counted(ours) == {"s3 PUT": FILES, "catalog POST": 1} and max_concurrent(uploads) == FILES
    name, target = "one commit, requests to S3 and the catalog", f"{FILES} PUTs that overlap + 1 commit"
    return [Row(name, "requests", [len(ours)], [len(plain)], len(plain) / len(ours), target, met)]


def time_of_one_append(bench: Bench) -> list[Row]:
    """Time an append, ours, pyiceberg's and the floor, in turn."""
    emulator = bench.emulator
    repetitions = {"floor": _floor_repetition, "ours": _our_repetition, "pyiceberg": _plain_repetition}
    measured = {name: repetition(emulator) for name, repetition in repetitions.items()}
    emulator.delay(DELAY_MILLISECONDS)
    times = bench.alternate(measured, bench.repetitions(15), WARM_UP)
    emulator.delay(0)
    ours, floor, plain = times["ours"], times["floor"], times["pyiceberg"]
    slower, faster = paired_ratio(ours, floor), paired_ratio(plain, ours)
    name = f"one append, {DELAY_MILLISECONDS} ms added to each request; anchor:"
    most, least = f"<= {MAX_FLOOR_RATIO} x the floor", f">= {MIN_TIMES_FASTER} x faster"
    return [
        Row(f"{name} the floor", "ms", ours, floor, slower, most, slower <= MAX_FLOOR_RATIO),
        Row(f"{name} Table.append", "ms", ours, plain, faster, least, faster >= MIN_TIMES_FASTER),
    ]


def _requests_of(emulator: ProxiedEmulator, repetition: Callable[[], float]) -> list[RecordedRequest]:
    for _ in range(WARM_UP):
        repetition()
    emulator.delay(DELAY_MILLISECONDS)
    repetition()
    requests = emulator.requests()
    emulator.delay(0)
    return requests


def _our_repetition(emulator: ProxiedEmulator) -> Callable[[], float]:
    return timed(lambda: one_partition_sales(SALES), our_append(emulator.create_stores(), emulator.proxy))


def _plain_repetition(emulator: ProxiedEmulator) -> Callable[[], float]:
    table = plain_table(emulator.create_stores(), emulator.proxy)
    return timed(lambda: plain_rows(one_partition_sales(SALES), table.schema()), table.append)


def _floor_repetition(emulator: ProxiedEmulator) -> Callable[[], float]:
    stores = emulator.create_stores()
    append = our_append(stores, emulator.proxy)
    for _ in range(WARM_UP):
        append(one_partition_sales(SALES))
    emulator.delay(0)
    append(one_partition_sales(SALES))
    floor = Floor(emulator, stores, emulator.requests())
    return timed(floor.prepare, floor.send)
