"""What writers have done, whether the table agrees, and the emulator that they write to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.group_commit.warm_writers import Landing, Run
from benchmarks.measuring import Bench
from carousel_sync.bench.local_run import group_sizes
from catalog_config.connect import connect
from testbed.proxied_emulator import ProxiedEmulator, latency_proxy
from testbed.stored_sales import rows_of_sales
from testbed.stores import Stores


@dataclass
class Outcome:
    """What the writers of one kind have done in all repetitions, and what the table holds afterwards."""

    stores: Stores
    runs: list[Run] = field(default_factory=list)
    dynamodb_requests: list[float] = field(default_factory=list)
    """For each batch, in each repetition."""
    lost: int = 0
    doubled: int = 0
    snapshots: int = 0

    def add(self, run: Run, requests: Counter[str]) -> None:
        """Add a repetition, and its requests by service and action."""
        self.runs.append(run)
        sent = sum(count for name, count in requests.items() if name.startswith("dynamodb "))
        self.dynamodb_requests.append(sent / len(run.landings))

    @property
    def rates(self) -> list[float]:
        """The batches per second of each repetition."""
        return [run.rate for run in self.runs]

    @property
    def landings(self) -> list[Landing]:
        """The batches of all repetitions."""
        return [landing for run in self.runs for landing in run.landings]

    @property
    def landed_percent(self) -> float:
        """The share of the batches that landed."""
        return 100 * sum(landing.landed for landing in self.landings) / len(self.landings)

    @property
    def wrong(self) -> int:
        """The number of sales that were lost, or doubled."""
        return self.lost + self.doubled

    def milliseconds(self, percent: float) -> list[float]:
        """Return a percentile of the batches' times in each repetition."""
        return [run.milliseconds(percent) for run in self.runs]


def check(bench: Bench, name: str, outcome: Outcome) -> None:
    """Look for lost and doubled sales in the table, and print what helps to interpret the figures."""
    bench.step(f"{name}: looking for lost and doubled sales")
    table = connect(outcome.stores.settings().catalog).load_table(outcome.stores.identifier)
    rows, sizes = rows_of_sales(table), group_sizes(table)
    landings = outcome.landings
    outcome.lost = sum(landing.landed and sale not in rows for landing in landings for sale in landing.sale_ids)
    outcome.doubled = sum(number > 1 for number in rows.values())
    outcome.snapshots = sum(sizes.values())
    bench.note(
        name,
        batches=len(landings),
        landed=f"{outcome.landed_percent:.1f} %",
        lost=outcome.lost,
        doubled=outcome.doubled,
        p50_ms=[round(value) for value in outcome.milliseconds(50)],
        p95_ms=[round(value) for value in outcome.milliseconds(95)],
        cpu_ms_each=round(1000 * sum(run.cpu_seconds for run in outcome.runs) / len(landings)),
        dynamodb_requests_each=[round(number, 1) for number in outcome.dynamodb_requests],
        snapshots=outcome.snapshots,
        group_sizes=dict(sorted(sizes.items())),
    )


@contextmanager
def memory_emulator(bench: Bench) -> Iterator[ProxiedEmulator]:
    """Put a proxy in front of the emulator that answers DynamoDB's requests itself."""
    folder, server = bench.folder / "memory", bench.emulator.server
    folder.mkdir(exist_ok=True)
    with latency_proxy(folder, urlsplit(server).port or 0, dynamodb_in_memory=True) as proxy:
        yield ProxiedEmulator(server, proxy, dynamodb_in_memory=True)
