"""Check of group commit: whether invocations share commits, and how many attempts wait for one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from boto3.dynamodb.conditions import Key

from carousel_sync.aws.conditions import condition_parameters
from carousel_sync.doctor.finding import Fault, Result, Status
from carousel_sync.doctor.stage import Stage
from lambda_fn.commit_queue.items import ENTRY_PREFIX, LEASE, queue_partition, read_entry, read_lease
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry
from lambda_fn.iceberg.group_commit.group import ENTRY_SECONDS, MAX_MEMBERS
from lambda_fn.settings import GroupCommitMode


def group_commit(stage: Stage) -> Result:
    """Check that direct delivery shares commits, and that no more attempts wait than one commit can land."""
    mode = stage.settings.group_commit
    if mode is GroupCommitMode.OFF:
        seen = "off: every invocation commits alone"
        if not stage.direct:
            return [seen]
        problem = f"{seen}, although events are delivered directly; one table takes a few commits a second"
        return [Fault(problem, "make deploy STAGE={stage} PARAMETERS=GroupCommit=adaptive", Status.WARNING)]
    lease, entries = _read(stage)
    now = stage.now().timestamp()
    ages = [now - entry.enlisted_at for entry in entries if now - entry.enlisted_at <= ENTRY_SECONDS]
    seen = f"{mode.value}: {_waiting(ages)}, {_leader(lease, now)}"
    if len(ages) > MAX_MEMBERS:
        remedy = "Check again in a minute. If as many wait, follow docs/runbook.md, Commit queue grows."
        return [Fault(f"{seen}: more than the {MAX_MEMBERS} that one commit lands", remedy, Status.WARNING)]
    return [seen]


def _read(stage: Stage) -> tuple[Lease, list[QueueEntry]]:
    """Return the lease and the entries of the table's commit queue. The entries may include those of dead attempts."""
    partition = queue_partition(stage.settings.table_identifier)
    condition = condition_parameters("KeyConditionExpression", Key("pk").eq({"S": partition}))
    pages = (
        stage.client("dynamodb")
        .get_paginator("query")
        .paginate(TableName=stage.guard_table, ConsistentRead=True, **condition)
    )
    items: list[dict[str, Any]] = [item for page in pages for item in page["Items"]]
    entries = [read_entry(item) for item in items if item["sk"]["S"].startswith(ENTRY_PREFIX)]
    leases = [read_lease(item) for item in items if item["sk"]["S"] == LEASE]
    return next(filter(None, leases), Lease()), [entry for entry in entries if entry is not None]


def _waiting(ages: Collection[float]) -> str:
    if not ages:
        return "no attempt waits for a commit"
    return f"attempts that wait for a commit: {len(ages):,}, the first for {max(0.0, *ages):.0f} s"


def _leader(lease: Lease, now: float) -> str:
    if lease.until <= now:
        return "nobody leads at the moment"
    return f"attempt {lease.owner} leads for {lease.until - now:.1f} s"
