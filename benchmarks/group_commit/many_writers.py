"""32 warm writers that land one sale after the other on one table: in groups, each alone, and with pyiceberg.

Every commit takes a fixed time, half of it before its compare-and-set and half of it after. DynamoDB is in memory, so
that the machine is not the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from benchmarks.group_commit.warm_writers import Landing, Run, Side, Writers, warm_writers
from benchmarks.measuring import Bench, paired_ratio
from benchmarks.report import Row
from catalog_config.connect import connect
from testbed.proxied_emulator import ProxiedEmulator, latency_proxy
from testbed.stored_sales import group_sizes, rows_of_sales
from testbed.stores import Stores

WRITERS: Final = 32
DELAY_MILLISECONDS: Final = 5
QUICK_SECONDS: Final = 8.0
MAX_DYNAMODB_REQUESTS: Final = 12.0


@dataclass(frozen=True)
class Load:
    """How long a commit takes, how long to measure, and what to reach.

    ``max_p95`` is in milliseconds. Table.append is measured once: it has no target.
    """

    commit_milliseconds: int
    seconds: float
    repetitions: int
    min_times_alone: float
    max_p95: float


SLOW_COMMITS: Final = Load(500, seconds=20.0, repetitions=2, min_times_alone=12.0, max_p95=2000.0)
FAST_COMMITS: Final = Load(100, seconds=10.0, repetitions=2, min_times_alone=5.0, max_p95=800.0)


@dataclass
class Outcome:
    """What the writers of one side have done in all repetitions, and what the table holds afterwards."""

    runs: list[Run] = field(default_factory=list)
    dynamodb_requests: list[float] = field(default_factory=list)
    """For each sale, in each repetition."""
    lost: int = 0
    doubled: int = 0

    @property
    def rates(self) -> list[float]:
        """The sales per second of each repetition."""
        return [run.rate for run in self.runs]

    @property
    def landings(self) -> list[Landing]:
        """The invocations of all repetitions."""
        return [landing for run in self.runs for landing in run.landings]

    def milliseconds(self, percent: float) -> list[float]:
        """Return a percentile of the invocations' times in each repetition."""
        return [run.milliseconds(percent) for run in self.runs]


def slow_commits(bench: Bench) -> list[Row]:
    """Let commits take half a second."""
    rows, outcomes = _measure(bench, SLOW_COMMITS)
    ours, alone = (outcomes[side].dynamodb_requests for side in (Side.GROUPS, Side.ALONE))
    name, target = "requests to DynamoDB for each of these sales", f"<= {MAX_DYNAMODB_REQUESTS:.0f}"
    met = median(ours) <= MAX_DYNAMODB_REQUESTS
    return [*rows, Row(f"{name}; anchor: alone", "requests", ours, alone, target=target, met=met)]


def fast_commits(bench: Bench) -> list[Row]:
    """Let commits take a tenth of a second."""
    rows, _ = _measure(bench, FAST_COMMITS)
    return rows


def _measure(bench: Bench, load: Load) -> tuple[list[Row], dict[Side, Outcome]]:
    with _emulator(bench) as emulator, warm_writers(WRITERS, emulator.proxy) as writers:
        outcomes = _outcomes(bench, load, emulator, writers)
    ours, alone, plain = outcomes[Side.GROUPS], outcomes[Side.ALONE], outcomes[Side.PLAIN]
    name = f"{WRITERS} writers, one sale each, commits of {load.commit_milliseconds} ms"
    ratio, target = paired_ratio(ours.rates, alone.rates), f">= {load.min_times_alone:.0f} x alone"
    wrong = ours.lost + ours.doubled
    plain_ratio = median(ours.rates) / median(plain.rates)
    p95, alone_p95 = ours.milliseconds(95), alone.milliseconds(95)
    within = f"{name}: 95 % of invocations end within; anchor: alone"
    p95_target, p95_met = f"<= {load.max_p95:,.0f} ms", median(p95) <= load.max_p95
    return [
        Row(f"{name}; anchor: alone", "sales/s", ours.rates, alone.rates, ratio, target, ratio >= load.min_times_alone),
        Row(f"{name}; anchor: Table.append", "sales/s", ours.rates, plain.rates, plain_ratio),
        Row(within, "ms", p95, alone_p95, paired_ratio(alone_p95, p95), p95_target, p95_met),
        Row(
            f"{name}: lost or doubled; anchor: alone",
            "sales",
            [wrong],
            [alone.lost + alone.doubled],
            target="0",
            met=not wrong,
        ),
    ], outcomes


def _outcomes(bench: Bench, load: Load, emulator: ProxiedEmulator, writers: Writers) -> dict[Side, Outcome]:
    outcomes = {side: Outcome() for side in Side}
    stores = {side: emulator.create_stores() for side in Side}
    repetitions = 1 if bench.quick else load.repetitions
    seconds = min(QUICK_SECONDS, load.seconds) if bench.quick else load.seconds
    for side in Side:
        bench.step(f"{side}: starting {WRITERS} writers")
        writers.prepare(side, stores[side])
    for number in range(repetitions):
        for side, outcome in outcomes.items():
            if number and side is Side.PLAIN:
                continue
            bench.step(f"{side}, commits of {load.commit_milliseconds} ms: {number + 1} of {repetitions}")
            emulator.delay(DELAY_MILLISECONDS, load.commit_milliseconds)
            run = writers.run(side, seconds)
            outcome.runs.append(run)
            requests = sum(count for name, count in emulator.counts().items() if name.startswith("dynamodb "))
            outcome.dynamodb_requests.append(requests / len(run.landings))
            emulator.delay(0)
    for side, outcome in outcomes.items():
        bench.step(f"{side}: looking for lost and doubled sales")
        _check(bench, side, outcome, stores[side])
    return outcomes


def _check(bench: Bench, side: Side, outcome: Outcome, stores: Stores) -> None:
    table = connect(stores.settings().catalog).load_table(stores.identifier)
    rows = rows_of_sales(table)
    outcome.lost = sum(landing.landed and landing.sale_id not in rows for landing in outcome.landings)
    outcome.doubled = sum(number > 1 for number in rows.values())
    sizes = group_sizes(table)
    bench.note(
        f"{WRITERS} writers {side}",
        sales=len(outcome.landings),
        failed=sum(not landing.landed for landing in outcome.landings),
        lost=outcome.lost,
        doubled=outcome.doubled,
        p50_ms=[round(value) for value in outcome.milliseconds(50)],
        p95_ms=[round(value) for value in outcome.milliseconds(95)],
        cpu_ms_per_sale=round(1000 * sum(run.cpu_seconds for run in outcome.runs) / len(outcome.landings)),
        requests_per_sale=[round(number, 1) for number in outcome.dynamodb_requests],
        snapshots=sum(sizes.values()),
        group_sizes=dict(sorted(sizes.items())),
    )


@contextmanager
def _emulator(bench: Bench) -> Iterator[ProxiedEmulator]:
    """Put a proxy in front of the emulator that answers DynamoDB's requests itself."""
    folder, server = bench.folder / "memory", bench.emulator.server
    folder.mkdir(exist_ok=True)
    with latency_proxy(folder, urlsplit(server).port or 0, dynamodb_in_memory=True) as proxy:
        yield ProxiedEmulator(server, proxy, dynamodb_in_memory=True)
