"""Many writers of small batches: ours, pyiceberg with and without retries, and DuckLake with data inlining.

Our writer is the function's writer of the table with its commit queue, without the guard and the projection, because
the anchors have neither. 25 ms are added to each request.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from benchmarks.group_commit.duck_lake import DuckLake
from benchmarks.group_commit.results import Outcome, check, memory_emulator
from benchmarks.group_commit.warm_writers import Writers, warm_writers
from benchmarks.group_commit.writer_kinds import Kind, Side
from benchmarks.measuring import Bench, paired_ratio
from benchmarks.report import Row
from carousel_sync.explore.duckdb_table import VIEW, S3Access, open_table
from catalog_config.connect import connect
from testbed.emulator import ACCESS_KEY, REGION, SECRET_KEY
from testbed.proxied_emulator import ProxiedEmulator
from testbed.stores import Stores

DELAY_MILLISECONDS: Final = 25
REPETITIONS: Final = 2
LONGEST_SECONDS: Final = 60.0

WRITERS: Final = 32
BATCHES: Final = 50
"""Of each writer."""
ROWS: Final = 100
ALONE_BATCHES: Final = 100
"""One writer alone is measured for so many: the table's metadata grows with its commits, and its rate does not rise."""
MAX_TIMES_ALONE: Final = 1.2
OURS: Final = Kind(Side.TABLE_WRITER, ROWS, f"our {WRITERS} writers")
OUR_ONE: Final = Kind(Side.TABLE_WRITER, ROWS, "our one writer")
NO_RETRIES: Final = Kind(Side.PLAIN, ROWS, "Table.append without retries")
FOUR_RETRIES: Final = Kind(Side.PLAIN, ROWS, "Table.append with 4 retries")
PLAIN_SECONDS: Final = 10.0

WORKERS: Final = 16
SMALL_BATCHES: Final = 1_000
"""Of all workers together."""
SMALL_ROWS: Final = 10
MIN_TIMES_FASTER: Final = 15.0
MAX_SNAPSHOTS: Final = 120
OUR_WORKERS: Final = Kind(Side.TABLE_WRITER, SMALL_ROWS, f"our {WORKERS} workers")
PLAIN_WORKERS: Final = Kind(Side.PLAIN, SMALL_ROWS, f"{WORKERS} workers, Table.append")
SLOW_SECONDS: Final = 20.0
"""Anchors that would take minutes are measured for so long. Their rates fall as their tables grow."""


# --- 32 writers of 50 batches ----------------------------------------------------------------------------------------


def batches_of_a_hundred(bench: Bench) -> list[Row]:
    """Let 32 writers append 50 batches each, one writer as many as it takes for a rate, and pyiceberg for a while."""
    with memory_emulator(bench) as emulator, warm_writers(emulator.proxy) as writers:
        outcomes = {kind: Outcome(emulator.create_stores()) for kind in (OURS, OUR_ONE, NO_RETRIES, FOUR_RETRIES)}
        _set_retries(outcomes[NO_RETRIES].stores, 0)
        _set_retries(outcomes[FOUR_RETRIES].stores, 4)
        for kind, outcome in outcomes.items():
            bench.step(f"{kind}: starting")
            writers.prepare(kind, outcome.stores, 1 if kind is OUR_ONE else WRITERS)
        batches, alone = (BATCHES // 5, ALONE_BATCHES // 5) if bench.quick else (BATCHES, ALONE_BATCHES)
        for _ in range(REPETITIONS):
            _run(bench, emulator, writers, OURS, outcomes[OURS], batches=batches // REPETITIONS)
            _run(bench, emulator, writers, OUR_ONE, outcomes[OUR_ONE], batches=alone // REPETITIONS)
        for kind in (NO_RETRIES, FOUR_RETRIES):
            _run(bench, emulator, writers, kind, outcomes[kind], seconds=PLAIN_SECONDS)
        for kind, outcome in outcomes.items():
            check(bench, str(kind), outcome)
    ours, one = outcomes[OURS], outcomes[OUR_ONE]
    times = paired_ratio(one.rates, ours.rates)
    name = f"{WRITERS} writers x {batches} batches of {ROWS} rows"
    seconds, one_seconds = ([WRITERS * batches / rate for rate in outcome.rates] for outcome in (ours, one))
    met = times <= MAX_TIMES_ALONE
    rows = [
        Row(
            f"{name}; anchor: one writer, the same batches",
            "s",
            seconds,
            one_seconds,
            times,
            f"<= {MAX_TIMES_ALONE} x",
            met,
        )
    ]
    all_landed = ours.landed_percent == 100 and not ours.wrong  # noqa: PLR2004 (percent)
    for kind in (NO_RETRIES, FOUR_RETRIES):
        plain = outcomes[kind]
        landed = [ours.landed_percent], [plain.landed_percent]
        rows += [
            Row(
                f"{name} that land; anchor: {kind}", "% of batches", *landed, target="100, no row twice", met=all_landed
            ),
            Row(f"{name}; anchor: {kind}", "batches/s", ours.rates, plain.rates, _times(ours.rates, plain.rates)),
        ]
    return rows


def _set_retries(stores: Stores, retries: int) -> None:
    table = connect(stores.settings().catalog).load_table(stores.identifier)
    with table.transaction() as transaction:
        transaction.set_properties({"commit.retry.num-retries": str(retries)})


# --- sixteen workers with 1,000 small batches ------------------------------------------------------------------------


def batches_of_ten(bench: Bench) -> list[Row]:
    """Let sixteen workers append 1,000 batches of 10 rows. Then read each table with the same query."""
    with memory_emulator(bench) as emulator, warm_writers(emulator.proxy) as writers:
        ours, plain = Outcome(emulator.create_stores()), Outcome(emulator.create_stores())
        for kind, outcome in ((OUR_WORKERS, ours), (PLAIN_WORKERS, plain)):
            bench.step(f"{kind}: starting")
            writers.prepare(kind, outcome.stores, WORKERS)
        batches = SMALL_BATCHES // 5 if bench.quick else SMALL_BATCHES
        # Sixteen workers with 63 batches each, or 62.5 on average.
        _run(bench, emulator, writers, OUR_WORKERS, ours, batches=-(-batches // WORKERS))
        _run(bench, emulator, writers, PLAIN_WORKERS, plain, seconds=SLOW_SECONDS)
        for kind, outcome in ((OUR_WORKERS, ours), (PLAIN_WORKERS, plain)):
            check(bench, str(kind), outcome)
        our_query, plain_query = _query(bench, emulator, ours.stores), _query(bench, emulator, plain.stores)
    lake_rates, lake_query = _duck_lake(bench, batches)
    name, query = f"{batches:,} batches of {SMALL_ROWS} rows, {WORKERS} workers", "then count and sum all rows"
    faster = _times(ours.rates, plain.rates)
    seconds, plain_seconds, lake_seconds = (
        [batches / rate for rate in each] for each in (ours.rates, plain.rates, lake_rates)
    )
    snapshots = ours.snapshots - WORKERS  # Each worker's warm-up has one.
    is_fast, are_few = faster >= MIN_TIMES_FASTER and not ours.wrong, snapshots <= MAX_SNAPSHOTS
    is_plain, is_lake = "anchor: Table.append", "anchor: DuckLake with data inlining, its catalog in a local file"
    return [
        Row(f"{name}; {is_plain}", "s", seconds, plain_seconds, faster, f">= {MIN_TIMES_FASTER:.0f} x faster", is_fast),
        Row(f"{name}; {is_lake}", "s", seconds, lake_seconds, median(lake_seconds) / median(seconds)),
        Row(f"{name}: snapshots", "snapshots", [snapshots], target=f"<= {MAX_SNAPSHOTS}", met=are_few),
        Row(
            f"{query} ({len(ours.landings):,} batches against {len(plain.landings):,}); {is_plain}",
            "ms",
            our_query,
            plain_query,
        ),
        Row(f"{query}; {is_lake}", "ms", our_query, lake_query),
    ]


def _query(bench: Bench, emulator: ProxiedEmulator, stores: Stores) -> list[float]:
    """Return the milliseconds of a query of DuckDB that reads all rows, from connecting on."""
    bench.step("reading the table")
    location = connect(stores.settings().catalog).load_table(stores.identifier).metadata_location
    access = S3Access(REGION, ACCESS_KEY, SECRET_KEY, endpoint_url=emulator.server)
    taken: list[float] = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        with open_table(location, access) as connection:
            connection.table(VIEW).aggregate("count(*), sum(sold_price)").fetchall()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def _duck_lake(bench: Bench, batches: int) -> tuple[list[float], list[float]]:
    """Return the batches per second, and the milliseconds of the query."""
    bench.step("DuckLake: writing")
    with DuckLake(bench.folder / "lake") as lake:
        rate, written = lake.write(WORKERS, batches, SMALL_ROWS, SLOW_SECONDS)
        bench.note(
            "DuckLake", batches=written, rows_lost=written * SMALL_ROWS - lake.rows(), snapshots=lake.snapshots()
        )
        return [rate], [lake.query_milliseconds() for _ in range(REPETITIONS)]


def _run(
    bench: Bench,
    emulator: ProxiedEmulator,
    writers: Writers,
    kind: Kind,
    outcome: Outcome,
    *,
    seconds: float = LONGEST_SECONDS,
    batches: int = 1_000_000,
) -> None:
    bench.step(f"{kind}: writing")
    emulator.delay(DELAY_MILLISECONDS)
    outcome.add(writers.run(kind, seconds, batches), emulator.counts())
    emulator.delay(0)


def _times(ours: Sequence[float], anchor: Sequence[float]) -> float:
    return median(ours) / median(anchor)
