"""From a load to settings: how large batches can be, how many commits they make, and how large metadata.json grows.

Pure arithmetic, explained in docs/performance.md. The limits of the services are those of their own documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Final

from carousel_sync.planning.bill import DAYS_OF_A_MONTH, POLLERS, Workload
from carousel_sync.planning.bytes_per_sale import SaleSizes
from carousel_sync.planning.durations import cpu_milliseconds, lambda_milliseconds, log_bytes
from carousel_sync.planning.group_commit import (
    LARGEST_GROUP,
    LISTED_ATTEMPT_BYTES,
    P95_ROUNDS,
    ROUND_MILLISECONDS,
    group_size,
    waiting_milliseconds,
)

# AWS Lambda Developer Guide, "Lambda quotas" and "Lambda parameters for Amazon SQS event source mappings".
INVOCATION_LIMIT_BYTES: Final = 6 * 1024 * 1024
BATCH_LIMIT: Final = 10_000
WINDOW_LIMIT_SECONDS: Final = 300
MIN_CONCURRENCY: Final = 2
MAX_CONCURRENCY: Final = 1000

RECORD_OVERHEAD_BYTES: Final = 700
"""The bytes that an SQS record adds to its body, including the escapes of the body's quotation marks."""
LONGEST_BATCH_SECONDS: Final = 30.0
"""Half of the function's time-out, which leaves room for a conflict or a slow response."""
HEADROOM: Final = 2.0
"""How many times the mean load the handlers can take, so that a backlog shrinks after a peak."""

COMMITS_PER_SECOND: Final = 1.0
"""How many commits of one Iceberg table to plan for, leaving gaps for compaction."""
SNAPSHOT_BYTES: Final = 800
"""The bytes that a retained snapshot adds to metadata.json: 630 with generated sales, and more with longer names."""
METADATA_LIMIT_BYTES: Final = 50_000_000
"""Amazon S3 User Guide, S3 Tables: a larger metadata.json is refused."""
METADATA_SHARE: Final = 0.5
"""The share of that limit to plan for, because compaction creates snapshots, too."""
MIN_RETENTION_HOURS: Final = 1
DEFAULT_RETENTION_HOURS: Final = 120
REDELIVERY_HOURS: Final = 6
"""Fifty deliveries of a message that is given back, at most six minutes apart, rounded up. As long as the history
reaches that far back, no delivery scans the table."""
SECONDS_OF_A_MONTH: Final = DAYS_OF_A_MONTH * 24 * 3600


@dataclass(frozen=True)
class Load:
    """The load to plan for. ``delay_seconds`` is the time from an event's arrival until its row can be queried."""

    events_per_second: float
    event_bytes: float
    embedding: int
    delay_seconds: float
    memory_mb: int = 512
    table_commits_per_second: float = COMMITS_PER_SECOND


@dataclass(frozen=True)
class CapacityPlan:
    """Settings for a load, and what follows from them. ``problems`` says why the load is too much, if it is.

    The first three are the parameters BatchSize, BatchWindowSeconds and MaximumConcurrency of template.yaml.
    ``batches_per_commit`` batches share a commit. ``notes`` are remarks on settings that suffice.
    """

    batch_size: int
    window_seconds: int
    concurrency: int
    retention_hours: int
    sales_per_commit: float
    batches_per_commit: float
    commits_per_second: float
    batch_seconds: float
    delay_seconds: float
    metadata_bytes: float
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan_capacity(load: Load) -> CapacityPlan:
    """Return the settings for a load: the largest window that the delay allows, because commits are scarce."""
    batch_limit = largest_batch(load.event_bytes, load.embedding, load.memory_mb)
    window = _window(load, batch_limit)
    concurrency = _concurrency(load, batch_limit, window)
    batches = batches_per_second(load.events_per_second, batch_limit, window, concurrency)
    group = group_size(batches, ROUND_MILLISECONDS)
    commits = batches / group
    sales = load.events_per_second / batches
    seconds = batch_seconds(sales, load.embedding, load.memory_mb)
    waiting = waiting_milliseconds(batches, ROUND_MILLISECONDS, P95_ROUNDS) - ROUND_MILLISECONDS
    retention = retention_hours(commits, group)
    plan = CapacityPlan(
        batch_size=batch_limit,
        window_seconds=window,
        concurrency=concurrency,
        retention_hours=retention,
        sales_per_commit=sales * group,
        batches_per_commit=group,
        commits_per_second=commits,
        batch_seconds=seconds,
        delay_seconds=min(window, sales * min(POLLERS, concurrency) / load.events_per_second)
        + 2 * seconds
        + (waiting / 1000 if group > 1 else 0.0),
        metadata_bytes=metadata_bytes(commits, retention, group),
    )
    return replace(plan, problems=tuple(_problems(load, plan, batches)), notes=tuple(_notes(load, plan)))


def workload_of(load: Load, plan: CapacityPlan, sizes: SaleSizes, partitions: float) -> Workload:
    """Return a month of the load with the planned settings. Batches that share a commit are billed as one each."""
    return Workload(
        events=load.events_per_second * SECONDS_OF_A_MONTH,
        sizes=sizes,
        sales_per_commit=plan.sales_per_commit / plan.batches_per_commit,
        lambda_milliseconds=1000 * plan.batch_seconds,
        memory_mb=load.memory_mb,
        log_bytes_per_batch=log_bytes(plan.sales_per_commit / plan.batches_per_commit),
        partitions_per_commit=min(partitions, plan.sales_per_commit),
        snapshot_retention_hours=plan.retention_hours,
    )


def largest_batch(event_bytes: float, embedding: int, memory_mb: int) -> int:
    """Return how many events an invocation can carry, and can settle within half of its time-out."""
    by_payload = floor(INVOCATION_LIMIT_BYTES / (event_bytes + RECORD_OVERHEAD_BYTES))
    fixed, with_one_sale = (batch_seconds(sales, embedding, memory_mb) for sales in (0, 1))
    by_time = floor((LONGEST_BATCH_SECONDS - fixed) / (with_one_sale - fixed))
    return max(1, min(BATCH_LIMIT, by_payload, by_time))


def batch_seconds(sales: float, embedding: int, memory_mb: int) -> float:
    """Return how long an invocation takes for this number of sales."""
    return lambda_milliseconds(cpu_milliseconds(sales, embedding), memory_mb) / 1000


def batches_per_second(events_per_second: float, batch_size: int, window_seconds: float, concurrency: int) -> float:
    """Return how many batches are delivered in a second: each when it is full, or at the end of its window.

    In the worst case each poller collects a batch of its own. There are never more batches than events.
    """
    by_window = min(events_per_second, min(POLLERS, concurrency) / window_seconds)
    return max(events_per_second / batch_size, by_window)


def retention_hours(commits: float, attempts_per_commit: float = 1) -> int:
    """Return for how many hours snapshots can be retained: 120, the default, or as many as half of the limit holds."""
    affordable = METADATA_SHARE * METADATA_LIMIT_BYTES / metadata_bytes(commits, 1, attempts_per_commit)
    return max(MIN_RETENTION_HOURS, min(DEFAULT_RETENTION_HOURS, floor(affordable)))


def metadata_bytes(commits: float, hours: float, attempts_per_commit: float = 1) -> float:
    """Return the size of metadata.json when snapshots are retained for this many hours.

    A snapshot lists each attempt that it lands besides its own.
    """
    return commits * 3600 * hours * (SNAPSHOT_BYTES + LISTED_ATTEMPT_BYTES * (attempts_per_commit - 1))


def _window(load: Load, batch_limit: int) -> int:
    """Return the delay less twice the time of a batch, because a batch may have to wait for another one."""
    longest = min(load.delay_seconds, WINDOW_LIMIT_SECONDS)
    most_sales = min(float(batch_limit), load.events_per_second * longest)
    left = load.delay_seconds - 2 * batch_seconds(most_sales, load.embedding, load.memory_mb)
    return max(1, min(WINDOW_LIMIT_SECONDS, floor(left)))


def _concurrency(load: Load, batch_limit: int, window: int) -> int:
    """Return twice the number of handlers that the load keeps busy."""
    sales = min(float(batch_limit), max(1.0, load.events_per_second * window))
    busy = load.events_per_second / sales * batch_seconds(sales, load.embedding, load.memory_mb)
    return max(MIN_CONCURRENCY, ceil(HEADROOM * busy))


def _problems(load: Load, plan: CapacityPlan, batches: float) -> Iterator[str]:
    if plan.delay_seconds > load.delay_seconds:
        yield (
            f"A sale may be visible only after {plan.delay_seconds:.1f} s: a window is at least a second, and a "
            f"batch of this load takes {plan.batch_seconds:.1f} s. More memory makes batches faster (--memory)."
        )
    most = LARGEST_GROUP * 1000 / ROUND_MILLISECONDS
    if batches > most:
        yield (
            f"{batches:,.0f} batches a second are more than the {most:,.0f} that one table takes: {LARGEST_GROUP} in a "
            "commit. Use a second table."
        )
    if plan.metadata_bytes > METADATA_LIMIT_BYTES:
        yield (
            f"The snapshots of {plan.retention_hours} h, the shortest retention, fill {plan.metadata_bytes / 1e6:.0f} "
            f"MB of metadata; S3 Tables refuses more than {METADATA_LIMIT_BYTES / 1e6:.0f}. Use a second table."
        )
    if plan.concurrency > MAX_CONCURRENCY:
        yield f"{plan.concurrency} concurrent handlers are more than SQS allows ({MAX_CONCURRENCY})."


def _notes(load: Load, plan: CapacityPlan) -> Iterator[str]:
    if plan.commits_per_second > load.table_commits_per_second:
        yield (
            f"{plan.commits_per_second:.2f} commits a second are more than the {load.table_commits_per_second:g} "
            "planned for one table, so compaction finds few gaps. A longer delay allows a longer window, and so fewer "
            "commits (--delay-seconds)."
        )
    if plan.retention_hours < REDELIVERY_HOURS:
        yield (
            f"Snapshots can be retained for {plan.retention_hours} h only. A message may be given back for "
            f"{REDELIVERY_HOURS} h, and each delivery scans a partition when the history is shorter. Fewer commits "
            "allow a longer history."
        )
