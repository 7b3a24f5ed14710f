"""From a load to settings: how large batches may be, how many commits they make, and how large metadata.json becomes.

Pure arithmetic, which docs/performance.md explains. The bounds of the services are those of their own documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, Final

from carousel_sync.planning.durations import cpu_milliseconds, lambda_milliseconds

# AWS Lambda Developer Guide, "Lambda quotas" and "Lambda parameters for Amazon SQS event source mappings".
INVOCATION_LIMIT_BYTES: Final = 6 * 1024 * 1024
BATCH_LIMIT: Final = 10_000
WINDOW_LIMIT_SECONDS: Final = 300
LEAST_CONCURRENCY: Final = 2
MOST_CONCURRENCY: Final = 1000
POLLERS: Final = 5
"""Lambda begins with five pollers, and each collects a batch of its own."""

RECORD_OVERHEAD_BYTES: Final = 700
"""What an SQS record adds to its body, and the escapes of the body's quotation marks."""
LONGEST_BATCH_SECONDS: Final = 30.0
"""Half of the function's time-out: a conflict, or a slow answer, has to fit in besides."""
HEADROOM: Final = 2.0
"""How many times the mean load the handlers can take: what a peak has piled up has to go away again."""

COMMITS_PER_SECOND: Final = 1.0
"""What one Iceberg table takes from all of its writers, leaving gaps for compaction."""
SNAPSHOT_BYTES: Final = 800
"""What a retained snapshot adds to metadata.json; 630 were measured with generated sales, longer names take more."""
METADATA_LIMIT_BYTES: Final = 50_000_000
"""Amazon S3 User Guide, S3 Tables: a larger metadata.json is refused."""
METADATA_SHARE: Final = 0.5
"""The part of that limit to plan for: compaction makes snapshots, too."""
LEAST_RETENTION_HOURS: Final = 1
DEFAULT_RETENTION_HOURS: Final = 120
REDELIVERY_HOURS: Final = 6
"""Fifty deliveries that are given back, six minutes apart at most, rounded up: while the history reaches that far back,
none of them scans."""


@dataclass(frozen=True)
class Load:
    """What is known beforehand. ``delay_seconds``: from the event's arrival until its row can be queried."""

    events_per_second: float
    event_bytes: float
    embedding: int
    delay_seconds: float
    memory_mb: int = 512
    table_commits_per_second: float = COMMITS_PER_SECOND


@dataclass(frozen=True)
class Sizing:
    """Settings for a load, and what follows from them. ``problems`` says why they will not do; it is empty if they do.

    The first three are parameters of template.yaml: BatchSize, BatchWindowSeconds, MaximumConcurrency. ``notes`` says
    what to know of settings that will do.
    """

    batch_size: int
    window_seconds: int
    concurrency: int
    retention_hours: int
    sales_per_commit: float
    commits_per_second: float
    batch_seconds: float
    delay_seconds: float
    metadata_bytes: float
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {**vars(self), "problems": list(self.problems), "notes": list(self.notes)}


def size(load: Load) -> Sizing:
    """Return the settings for a load: the largest window that the delay allows, because commits are what is scarce."""
    batch_limit = largest_batch(load.event_bytes, load.embedding, load.memory_mb)
    window = _window(load, batch_limit)
    concurrency = _concurrency(load, batch_limit, window)
    commits = commits_per_second(load.events_per_second, batch_limit, window, concurrency)
    sales = load.events_per_second / commits
    seconds = batch_seconds(sales, load.embedding, load.memory_mb)
    retention = retention_hours(commits)
    sizing = Sizing(
        batch_size=batch_limit,
        window_seconds=window,
        concurrency=concurrency,
        retention_hours=retention,
        sales_per_commit=sales,
        commits_per_second=commits,
        batch_seconds=seconds,
        delay_seconds=min(window, sales * _collectors(concurrency) / load.events_per_second) + 2 * seconds,
        metadata_bytes=metadata_bytes(commits, retention),
    )
    return replace(sizing, problems=tuple(_problems(load, sizing)), notes=tuple(_notes(sizing)))


def largest_batch(event_bytes: float, embedding: int, memory_mb: int) -> int:
    """Return how many events an invocation can carry, and settle within half of its time-out."""
    by_payload = floor(INVOCATION_LIMIT_BYTES / (event_bytes + RECORD_OVERHEAD_BYTES))
    fixed = batch_seconds(0, embedding, memory_mb)
    of_a_sale = batch_seconds(1, embedding, memory_mb) - fixed
    by_time = floor((LONGEST_BATCH_SECONDS - fixed) / of_a_sale)
    return max(1, min(BATCH_LIMIT, by_payload, by_time))


def batch_seconds(sales: float, embedding: int, memory_mb: int) -> float:
    """Return how long an invocation takes for so many sales."""
    return lambda_milliseconds(cpu_milliseconds(sales, embedding), memory_mb) / 1000


def commits_per_second(events_per_second: float, batch_size: int, window_seconds: float, concurrency: int) -> float:
    """Return how many batches close in a second: when they are full, or when their window is over.

    At worst each poller collects a batch of its own; and there are no more batches than events.
    """
    by_window = min(events_per_second, _collectors(concurrency) / window_seconds)
    return max(events_per_second / batch_size, by_window)


def retention_hours(commits: float) -> int:
    """Return for how many hours snapshots can be kept: 120 as by default, or what half of the limit holds."""
    affordable = METADATA_SHARE * METADATA_LIMIT_BYTES / metadata_bytes(commits, 1)
    return max(LEAST_RETENTION_HOURS, min(DEFAULT_RETENTION_HOURS, floor(affordable)))


def metadata_bytes(commits: float, hours: float) -> float:
    """Return the size of metadata.json when snapshots of so many hours are retained."""
    return commits * 3600 * hours * SNAPSHOT_BYTES


def _window(load: Load, batch_limit: int) -> int:
    """Return what the tolerated delay leaves after the batch's own time, twice: it may have to wait for another."""
    longest = min(load.delay_seconds, WINDOW_LIMIT_SECONDS)
    most_sales = min(float(batch_limit), load.events_per_second * longest)
    left = load.delay_seconds - 2 * batch_seconds(most_sales, load.embedding, load.memory_mb)
    return max(1, min(WINDOW_LIMIT_SECONDS, floor(left)))


def _concurrency(load: Load, batch_limit: int, window: int) -> int:
    """Return how many handlers the load keeps busy, and as many again."""
    sales = min(float(batch_limit), max(1.0, load.events_per_second * window))
    busy = load.events_per_second / sales * batch_seconds(sales, load.embedding, load.memory_mb)
    return max(LEAST_CONCURRENCY, ceil(HEADROOM * busy))


def _collectors(concurrency: int) -> int:
    return min(POLLERS, concurrency)


def _problems(load: Load, sizing: Sizing) -> list[str]:
    problems: list[str] = []
    if sizing.delay_seconds > load.delay_seconds:
        problems.append(
            f"A sale may be visible only after {sizing.delay_seconds:.1f} s: a window is at least a second, and a "
            f"batch of this load takes {sizing.batch_seconds:.1f} s. More memory makes it faster (--memory)."
        )
    if sizing.commits_per_second > load.table_commits_per_second:
        full = sizing.sales_per_commit > sizing.batch_size * 0.99
        way_out = (
            "Batches are full: events without the embedding, or a second table, are what would help."
            if full
            else "A longer delay makes the window longer, and the commits fewer (--delay-seconds)."
        )
        problems.append(
            f"{sizing.commits_per_second:.2f} commits a second are more than the {load.table_commits_per_second:g} "
            f"that one table is planned to take. {way_out}"
        )
    if sizing.concurrency > MOST_CONCURRENCY:
        problems.append(f"{sizing.concurrency} handlers at a time are more than SQS allows ({MOST_CONCURRENCY}).")
    return problems


def _notes(sizing: Sizing) -> list[str]:
    if sizing.retention_hours >= REDELIVERY_HOURS:
        return []
    note = (
        f"Snapshots can be kept for {sizing.retention_hours} h only. A message may be given back for "
        f"{REDELIVERY_HOURS} h, and costs a scan of its partition when the history is shorter. Fewer commits allow "
        "more."
    )
    return [note]
