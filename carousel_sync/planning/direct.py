"""From a load to the figures of direct delivery: how many invocations share a commit, and how long they wait for it.

Arithmetic on the estimates of :mod:`carousel_sync.planning.group_commit`; docs/performance.md explains it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from carousel_sync.planning.bill import Workload
from carousel_sync.planning.bytes_per_sale import SaleSizes
from carousel_sync.planning.capacity import (
    COMMITS_PER_SECOND,
    HEADROOM,
    MAX_CONCURRENCY,
    METADATA_LIMIT_BYTES,
    REDELIVERY_HOURS,
    SECONDS_OF_A_MONTH,
    batch_seconds,
    metadata_bytes,
    retention_hours,
)
from carousel_sync.planning.durations import log_bytes
from carousel_sync.planning.group_commit import (
    LARGEST_GROUP,
    MEDIAN_ROUNDS,
    P95_ROUNDS,
    ROUND_MILLISECONDS,
    group_size,
    requests_per_attempt,
    waiting_milliseconds,
    write_units_per_attempt,
)

REQUESTS_BESIDE_THE_QUEUE: Final = 4
"""The claim, the look-up in the projection, the item, and the completion."""


@dataclass(frozen=True)
class DirectLoad:
    """The load to plan for. ``round_milliseconds`` is the time that a leader takes from its lease to its commit."""

    events_per_second: float
    embedding: int
    round_milliseconds: float = ROUND_MILLISECONDS
    memory_mb: int = 512


@dataclass(frozen=True)
class DirectPlan:
    """What follows from a load with direct delivery. ``problems`` says why the load is too much, if it is.

    The milliseconds are those that an invocation waits for its commit. ``reserved_concurrency`` is the parameter
    ReservedConcurrency of template.yaml. ``notes`` are remarks on a load that is not too much.
    """

    group_size: float
    commits_per_second: float
    p50_milliseconds: float
    p95_milliseconds: float
    invocation_seconds: float
    reserved_concurrency: int
    dynamodb_requests_per_sale: float
    write_units_per_sale: float
    snapshots_per_hour: float
    retention_hours: int
    metadata_bytes: float
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan_direct(load: DirectLoad, sizes: SaleSizes) -> DirectPlan:
    """Return the figures of direct delivery for a load."""
    rate, milliseconds = load.events_per_second, load.round_milliseconds
    group = group_size(rate, milliseconds)
    commits = rate / group
    median, p95 = (waiting_milliseconds(rate, milliseconds, rounds) for rounds in (MEDIAN_ROUNDS, P95_ROUNDS))
    seconds = batch_seconds(1, load.embedding, load.memory_mb) + median / 1000
    retention = retention_hours(commits, group)
    plan = DirectPlan(
        group_size=group,
        commits_per_second=commits,
        p50_milliseconds=median,
        p95_milliseconds=p95,
        invocation_seconds=seconds,
        reserved_concurrency=max(1, ceil(HEADROOM * rate * seconds)),
        dynamodb_requests_per_sale=REQUESTS_BESIDE_THE_QUEUE + requests_per_attempt(group),
        write_units_per_sale=sizes.write_units + write_units_per_attempt(group),
        snapshots_per_hour=3600 * commits,
        retention_hours=retention,
        metadata_bytes=metadata_bytes(commits, retention, group),
    )
    return replace(plan, problems=tuple(_problems(load, plan)), notes=tuple(_notes(plan)))


def direct_workload(load: DirectLoad, plan: DirectPlan, sizes: SaleSizes) -> Workload:
    """Return a month of the load with direct delivery."""
    return Workload(
        events=load.events_per_second * SECONDS_OF_A_MONTH,
        sizes=sizes,
        sales_per_commit=plan.group_size,
        lambda_milliseconds=1000 * plan.invocation_seconds,
        memory_mb=load.memory_mb,
        log_bytes_per_batch=log_bytes(1),
        partitions_per_commit=1,
        snapshot_retention_hours=plan.retention_hours,
        direct=True,
    )


def _problems(load: DirectLoad, plan: DirectPlan) -> Iterator[str]:
    most = LARGEST_GROUP * 1000 / load.round_milliseconds
    if load.events_per_second > most:
        yield (
            f"{load.events_per_second:g} events a second are more than the {most:,.0f} that one table takes: "
            f"{LARGEST_GROUP} in a commit of {load.round_milliseconds:g} ms. Use queue delivery."
        )
    if plan.metadata_bytes > METADATA_LIMIT_BYTES:
        yield (
            f"The snapshots of {plan.retention_hours} h, the shortest retention, fill {plan.metadata_bytes / 1e6:.0f} "
            f"MB of metadata; S3 Tables refuses more than {METADATA_LIMIT_BYTES / 1e6:.0f}. Use queue delivery."
        )
    if plan.reserved_concurrency > MAX_CONCURRENCY:
        yield (
            f"{plan.reserved_concurrency:,} invocations at the same time are more than the {MAX_CONCURRENCY:,} of a "
            "usual account. Use queue delivery, or have the quota raised."
        )


def _notes(plan: DirectPlan) -> Iterator[str]:
    if plan.commits_per_second > COMMITS_PER_SECOND:
        yield (
            f"{plan.commits_per_second:.1f} commits a second leave few gaps for compaction. Queue delivery makes "
            "fewer, and a sale costs less."
        )
    if plan.retention_hours < REDELIVERY_HOURS:
        yield (
            f"Snapshots can be retained for {plan.retention_hours} h only. Lambda may deliver an event again for "
            f"{REDELIVERY_HOURS} h, and each delivery scans a partition when the history is shorter."
        )
