"""The figures of a run: rates, durations, requests, cost, and whether each sale is stored exactly once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Any, Final

from carousel_sync.bench.load import Tally
from carousel_sync.consistency.compare import Report
from carousel_sync.events.generate import Recipe
from carousel_sync.local_stack.stack import DeliveryMode
from carousel_sync.planning.bill import Bill, Workload, bill
from carousel_sync.planning.bytes_per_sale import measure
from carousel_sync.planning.durations import lambda_milliseconds
from carousel_sync.planning.prices import LIST_PRICES

PERCENTILES: Final = (50, 90, 95, 99)
MEMORY_MB: Final = 512
BAR_WIDTH: Final = 20
MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Setup:
    """The parameters of a run. In direct mode, ``batch_size`` is 1."""

    events: int
    concurrency: int
    batch_size: int
    embedding: int
    duplicates: float
    seed: int
    mode: DeliveryMode = DeliveryMode.QUEUE

    @property
    def is_direct(self) -> bool:
        """Whether each event is an invocation of its own."""
        return self.mode is DeliveryMode.DIRECT

    @property
    def invocation(self) -> str:
        """What people call that which a handler is invoked with."""
        return "Event" if self.is_direct else "Batch"

    def recipe(self) -> Recipe:
        """Return the recipe of the sales. Raises ConfigurationError for shares or sizes that make no sense."""
        today, copies = datetime.now(UTC).date(), self.duplicates
        return Recipe(self.events, self.seed, today, duplicates=copies, invalid=0.0, embedding=self.embedding)


@dataclass(frozen=True)
class Outcome:
    """What is stored after a run.

    ``names`` are those of the distinct sales that were delivered. ``snapshot_bytes`` is what one retained snapshot
    adds to the table's metadata.json. ``group_sizes`` has the number of commits by the number of invocations that
    each landed.
    """

    names: frozenset[str]
    report: Report
    commits: int
    data_files: int
    snapshot_bytes: float
    group_sizes: Mapping[int, int] = field(default_factory=dict)

    @property
    def sales(self) -> int:
        """The number of distinct sales that were delivered."""
        return len(self.names)

    @property
    def exactly_once(self) -> bool:
        """Whether each sale has one row and one item, and no claim is open."""
        return self.report.consistent and self.report.sales == self.report.rows == self.report.items == self.sales


@dataclass(frozen=True)
class Figures:
    """The parameters, deliveries and outcome of a run, and the figures derived from them."""

    setup: Setup
    tally: Tally
    outcome: Outcome

    @property
    def seconds(self) -> list[float]:
        """The duration of each invocation, in ascending order."""
        return sorted(invocation.seconds for invocation in self.tally.invocations)

    @property
    def events_per_second(self) -> float:
        """Messages settled per second of the run."""
        return self.tally.settled / self.tally.seconds

    @property
    def conflicts(self) -> int:
        """Commits that were retried because another commit was faster or the answer was lost."""
        return sum(invocation.conflicts for invocation in self.tally.invocations)

    @property
    def requests(self) -> dict[str, int]:
        """Requests of all handlers by service and action, the most frequent first."""
        counts: Counter[str] = Counter()
        for invocation in self.tally.invocations:
            counts.update(invocation.requests)
        return dict(counts.most_common())

    @property
    def cpu_milliseconds_per_batch(self) -> float:
        """Mean CPU time of an invocation on a core of this machine, without the first one of each process."""
        later = [invocation for invocation in self.tally.invocations if not invocation.first] or self.tally.invocations
        return 1000 * fmean(invocation.cpu_seconds for invocation in later)

    @property
    def log_bytes_per_batch(self) -> float:
        """Mean size of the log of an invocation."""
        return fmean(invocation.log_bytes for invocation in self.tally.invocations)

    @property
    def sales_per_commit(self) -> float:
        """Mean number of sales in a snapshot."""
        return self.outcome.sales / max(1, self.outcome.commits)

    @property
    def errors(self) -> list[str]:
        """The distinct errors that handlers raised."""
        return sorted({invocation.error for invocation in self.tally.invocations if invocation.error})

    def cost_of_a_million(self) -> Bill:
        """Return the bill of the first month with a million such sales, delivered in such batches through the queue."""
        workload = Workload(
            events=MILLION,
            sizes=measure(self.setup.embedding),
            sales_per_commit=self.sales_per_commit,
            lambda_milliseconds=lambda_milliseconds(self.cpu_milliseconds_per_batch, MEMORY_MB),
            memory_mb=MEMORY_MB,
            log_bytes_per_batch=self.log_bytes_per_batch,
            partitions_per_commit=self.outcome.data_files / max(1, self.outcome.commits),
        )
        return bill(workload, LIST_PRICES)

    def as_json(self) -> dict[str, Any]:
        """Return all figures as a JSON document. Durations are in milliseconds unless their names say seconds."""
        tally, outcome = self.tally, self.outcome
        return {
            **asdict(self.setup),
            "sales": outcome.sales,
            "seconds": round(tally.seconds, 3),
            "events_per_second": round(self.events_per_second, 1),
            "invocations": len(tally.invocations),
            "batch_milliseconds": {name: round(1000 * value, 1) for name, value in latencies(self.seconds).items()},
            "cpu_milliseconds_per_batch": round(self.cpu_milliseconds_per_batch, 1),
            "log_bytes_per_batch": round(self.log_bytes_per_batch),
            "commits": outcome.commits,
            "commit_conflicts": self.conflicts,
            "sales_per_commit": round(self.sales_per_commit, 1),
            "data_files": outcome.data_files,
            "snapshot_bytes": round(outcome.snapshot_bytes),
            "given_back": tally.given_back,
            "abandoned": tally.abandoned,
            "errors": self.errors,
            "requests": self.requests,
            "group_sizes": {str(size): commits for size, commits in sorted(outcome.group_sizes.items())},
            "exactly_once": outcome.exactly_once,
            "verification": outcome.report.as_json(),
            "usd_per_million_sales": None if self.setup.is_direct else self.cost_of_a_million().as_json(),
        }

    def _cost_in_words(self) -> str:
        cost = self.cost_of_a_million()
        return f"${cost.usd:,.2f} in the first month, {cost.share('DynamoDB'):.0%} of it DynamoDB"

    def facts(self) -> dict[str, str]:
        """Return the figures as names and values to show."""
        tally, outcome, setup = self.tally, self.outcome, self.setup
        times = {
            f"{setup.invocation}, {name}": f"{1000 * value:,.0f} ms" for name, value in latencies(self.seconds).items()
        }
        each = "one by one" if setup.is_direct else f"in batches of up to {setup.batch_size:,}"
        return {
            "Events": f"{setup.events:,} {each}, {setup.concurrency} handlers",
            "Sales": f"{outcome.sales:,}, with embeddings of {setup.embedding:,} values",
            "Throughput": f"{self.events_per_second:,.0f} events/s over {tally.seconds:.1f} s",
            **times,
            f"CPU of {'an event' if setup.is_direct else 'a batch'}": f"{self.cpu_milliseconds_per_batch:,.0f} ms",
            "Commits": f"{outcome.commits:,}, {self.sales_per_commit:,.1f} sales each",
            **_histogram(outcome.group_sizes),
            "Commit conflicts": f"{self.conflicts:,}",
            "Given back": f"{tally.given_back:,} messages; {tally.abandoned:,} abandoned",
            "Requests": f"{sum(self.requests.values()):,}",
            **{f"  {name}": f"{number:,}" for name, number in self.requests.items()},
            "metadata.json": f"{outcome.snapshot_bytes:,.0f} bytes per retained snapshot",
            **({} if setup.is_direct else {"A million sales": self._cost_in_words()}),
            "Seed": str(setup.seed),
            "Verified": "each sale has one row and one item" if outcome.exactly_once else "NOT exactly once",
        }


def _histogram(group_sizes: Mapping[int, int]) -> dict[str, str]:
    """Return the number of commits by the number of invocations in them: 1, 2, 3 to 4, 5 to 8 and so on."""
    buckets: Counter[int] = Counter()
    for size, commits in group_sizes.items():
        buckets[(size - 1).bit_length()] += commits
    most = max(buckets.values(), default=1)
    shown: dict[str, str] = {}
    for bucket, commits in sorted(buckets.items()):
        first, last = (1 << bucket >> 1) + 1 if bucket else 1, 1 << bucket
        sizes = f"{last}" if first == last else f"{first} to {last}"
        name = f"  of {sizes} {'invocation' if last == 1 else 'invocations'}"
        shown[name] = f"{commits:,} {'█' * math.ceil(BAR_WIDTH * commits / most)}"
    return shown


def latencies(ascending: Sequence[float]) -> dict[str, float]:
    """Return the percentiles and the maximum of values in ascending order."""
    return {**{f"p{percent}": percentile(ascending, percent) for percent in PERCENTILES}, "max": ascending[-1]}


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return a percentile by the nearest-rank method. There must be at least one value."""
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]
