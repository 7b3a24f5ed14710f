"""Runs of the benchmark, made up from the durations of their invocations."""

from __future__ import annotations

from typing import Final

from carousel_sync.bench.figures import Figures, Outcome, Setup
from carousel_sync.bench.load import Tally
from carousel_sync.bench.worker import Invocation
from carousel_sync.consistency.compare import Findings, Report
from carousel_sync.local_stack.stack import DeliveryMode

TWO_SALES: Final = frozenset({"t#1", "t#2"})
CONSISTENT: Final = Report(
    2, 2, 2, [], [], [], [], [], [], [], Findings(frozenset(), frozenset(), frozenset(), {}, frozenset())
)


def figures(*seconds: float, outcome: Outcome | None = None, mode: DeliveryMode = DeliveryMode.QUEUE) -> Figures:
    """Return the figures of a run whose invocations took this long."""
    invocations = [
        Invocation(each, cpu_seconds=each / 2, first=not number, requests={"s3 PUT": 3}, conflicts=number)
        for number, each in enumerate(seconds)
    ]
    return Figures(
        Setup(10, 2, 5, 4, 0.0, 1, mode),
        Tally(invocations, delivered=10, settled=10, seconds=4.0),
        outcome or Outcome(TWO_SALES, CONSISTENT, commits=2, data_files=3, snapshot_bytes=630.0),
    )
