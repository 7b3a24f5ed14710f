"""What a run of the bench measured: throughput, latency, conflicts, requests, and what became of each sale."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from carousel_sync.bench.load import Course
from carousel_sync.consistency.compare import Report

PERCENTILES: Final = (50, 90, 99)


@dataclass(frozen=True)
class Setup:
    """What was asked for."""

    events: int
    concurrency: int
    batch_size: int
    embedding: int
    duplicates: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What is stored in the end. ``names`` are those of the distinct sales that were delivered.

    ``snapshot_bytes`` is what one retained snapshot adds to the table's metadata.json, 0 when it can't be told.
    """

    names: frozenset[str]
    report: Report
    commits: int
    data_files: int
    snapshot_bytes: float

    @property
    def sales(self) -> int:
        """How many distinct sales were delivered."""
        return len(self.names)

    @property
    def exactly_once(self) -> bool:
        """Whether each sale has one row and one item, and no claim is open."""
        return self.report.consistent and self.report.sales == self.report.rows == self.report.items == self.sales


@dataclass(frozen=True)
class Figures:
    """Everything that was measured."""

    setup: Setup
    course: Course
    outcome: Outcome

    @property
    def seconds(self) -> list[float]:
        """What each batch took, in ascending order."""
        return sorted(one.seconds for one in self.course.invocations)

    @property
    def events_per_second(self) -> float:
        """Messages settled in each second of the run."""
        return self.course.settled / self.course.seconds

    @property
    def conflicts(self) -> int:
        """Commits that lost the race for the table's head, or were not answered, and were tried again."""
        return sum(one.conflicts for one in self.course.invocations)

    @property
    def requests(self) -> dict[str, int]:
        """Requests of all handlers by service and action, the most frequent first."""
        counts: Counter[str] = Counter()
        for one in self.course.invocations:
            counts.update(one.requests)
        return dict(counts.most_common())

    @property
    def cpu_milliseconds_per_batch(self) -> float:
        """CPU time of a handler for a batch, on a core of this machine, without the first of each process."""
        later = [one for one in self.course.invocations if not one.first] or self.course.invocations
        return 1000 * sum(one.cpu_seconds for one in later) / len(later)

    @property
    def log_bytes_per_batch(self) -> float:
        """What a handler logs in one invocation."""
        return sum(one.log_bytes for one in self.course.invocations) / len(self.course.invocations)

    @property
    def sales_per_commit(self) -> float:
        """Sales that share a snapshot."""
        return self.outcome.sales / max(1, self.outcome.commits)

    @property
    def errors(self) -> list[str]:
        """What handlers raised."""
        return sorted({one.error for one in self.course.invocations if one.error})

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it; times in milliseconds."""
        course, outcome = self.course, self.outcome
        return {
            "events": self.setup.events,
            "sales": outcome.sales,
            "concurrency": self.setup.concurrency,
            "batch_size": self.setup.batch_size,
            "embedding": self.setup.embedding,
            "duplicates": self.setup.duplicates,
            "seed": self.setup.seed,
            "seconds": round(course.seconds, 3),
            "events_per_second": round(self.events_per_second, 1),
            "invocations": len(course.invocations),
            "batch_milliseconds": {name: round(1000 * value, 1) for name, value in latencies(self.seconds).items()},
            "cpu_milliseconds_per_batch": round(self.cpu_milliseconds_per_batch, 1),
            "log_bytes_per_batch": round(self.log_bytes_per_batch),
            "commits": outcome.commits,
            "commit_conflicts": self.conflicts,
            "sales_per_commit": round(self.sales_per_commit, 1),
            "data_files": outcome.data_files,
            "snapshot_bytes": round(outcome.snapshot_bytes),
            "given_back": course.given_back,
            "abandoned": course.abandoned,
            "errors": self.errors,
            "requests": self.requests,
            "exactly_once": outcome.exactly_once,
            "verification": outcome.report.as_json(),
        }


def latencies(ascending: Sequence[float]) -> dict[str, float]:
    """Return the percentiles and the longest of values in ascending order."""
    named = {f"p{percent}": percentile(ascending, percent) for percent in PERCENTILES}
    return {**named, "max": ascending[-1]}


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all are not above (nearest rank). There has to be a value."""
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]
