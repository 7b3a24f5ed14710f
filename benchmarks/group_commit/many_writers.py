"""32 warm writers that land one sale after the other on one table: in groups, each alone, and with pyiceberg.

Every commit takes a fixed time, half of it before its compare-and-set and half of it after. DynamoDB is in memory, so
that the machine is not the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.group_commit.results import Outcome, check, memory_emulator
from benchmarks.group_commit.warm_writers import Writers, warm_writers
from benchmarks.group_commit.writer_kinds import Kind, Side
from benchmarks.measuring import Bench, paired_ratio
from benchmarks.report import Row
from testbed.proxied_emulator import ProxiedEmulator

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


GROUPS: Final = Kind(Side.HANDLER)
ALONE: Final = Kind(Side.HANDLER_ALONE)
PLAIN: Final = Kind(Side.PLAIN)

SLOW_COMMITS: Final = Load(500, seconds=20.0, repetitions=2, min_times_alone=12.0, max_p95=2000.0)
FAST_COMMITS: Final = Load(100, seconds=10.0, repetitions=2, min_times_alone=5.0, max_p95=800.0)


def slow_commits(bench: Bench) -> list[Row]:
    """Let commits take half a second."""
    rows, outcomes = _measure(bench, SLOW_COMMITS)
    ours, alone = (outcomes[kind].dynamodb_requests for kind in (GROUPS, ALONE))
    name, target = "requests to DynamoDB for each of these sales", f"<= {MAX_DYNAMODB_REQUESTS:.0f}"
    met = median(ours) <= MAX_DYNAMODB_REQUESTS
    return [*rows, Row(f"{name}; anchor: alone", "requests", ours, alone, target=target, met=met)]


def fast_commits(bench: Bench) -> list[Row]:
    """Let commits take a tenth of a second."""
    rows, _ = _measure(bench, FAST_COMMITS)
    return rows


def _measure(bench: Bench, load: Load) -> tuple[list[Row], dict[Kind, Outcome]]:
    with memory_emulator(bench) as emulator, warm_writers(emulator.proxy) as writers:
        outcomes = _outcomes(bench, load, emulator, writers)
    ours, alone, plain = outcomes[GROUPS], outcomes[ALONE], outcomes[PLAIN]
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


def _outcomes(bench: Bench, load: Load, emulator: ProxiedEmulator, writers: Writers) -> dict[Kind, Outcome]:
    outcomes = {kind: Outcome(emulator.create_stores()) for kind in (GROUPS, ALONE, PLAIN)}
    repetitions = 1 if bench.quick else load.repetitions
    seconds = min(QUICK_SECONDS, load.seconds) if bench.quick else load.seconds
    for kind, outcome in outcomes.items():
        bench.step(f"{kind}: starting {WRITERS} writers")
        writers.prepare(kind, outcome.stores, WRITERS)
    for number in range(repetitions):
        for kind, outcome in outcomes.items():
            if number and kind is PLAIN:
                continue
            bench.step(f"{kind}, commits of {load.commit_milliseconds} ms: {number + 1} of {repetitions}")
            emulator.delay(DELAY_MILLISECONDS, load.commit_milliseconds)
            outcome.add(writers.run(kind, seconds), emulator.counts())
            emulator.delay(0)
    for kind, outcome in outcomes.items():
        check(bench, f"{WRITERS} writers {kind}", outcome)
    return outcomes
