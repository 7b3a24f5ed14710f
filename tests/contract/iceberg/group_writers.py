"""Writers of one table that share a commit queue, and what readers find in the table."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lambda_fn.aws.batch_requests import Batches
from lambda_fn.commit_queue.queue_table import DynamoDBCommitQueue
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.iceberg.group_commit.commit_queue import Lease
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.ports import AppendResult, Resolution, SalesTable
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale
from tests.builders import sale
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.faulty_dynamodb import GET, FaultyDynamoDB, Request, Send, passed
from tests.fakes.parallel import InTurn
from tests.tables import TableUnderTest, Wrap

DEAD_LEADER = 1
LEASE_SECONDS = 3.0


@dataclass(frozen=True)
class Attempt:
    """An attempt to append sales, which fences earlier attempts. Its sales are in tenants and partitions of its own.

    ``looked_up``: it first looks its sales up in the table.
    """

    attempt_id: int
    fenced: tuple[int, ...] = ()
    sales_count: int = 1
    looked_up: bool = False

    @property
    def tenant_id(self) -> str:
        return f"t{self.attempt_id}"

    @property
    def sales(self) -> list[Sale]:
        return [sale(sale_id=sale_id, tenant_id=self.tenant_id) for sale_id in self.sale_ids]

    @property
    def sale_ids(self) -> list[str]:
        return [f"{self.attempt_id:04}-{number}" for number in range(self.sales_count)]


class GroupWriters:
    """Processes that write one table in groups. Each has a connection of its own; they share the queue and a clock."""

    def __init__(self, table: TableUnderTest) -> None:
        self.table = table
        self.clock = FakeClock(time.time())
        self._dynamodb = FakeDynamoDB(guard_table("guard"))

    def soon(self) -> Deadline:
        return Deadline.after(self.clock, 120)

    def writer(self, wrap: Wrap = lambda catalog: catalog) -> SalesTable:
        """Return a writer that is not disturbed by others, unless a fault of its catalog does so."""
        return self._writer(FaultyDynamoDB(self._dynamodb), wrap)

    def land(self, leader: Attempt, *members: Attempt, wrap: Wrap = lambda catalog: catalog) -> dict[int, AppendResult]:
        """Let the members enlist behind a leader that has died. Then the leader takes over.

        ``wrap`` is for the leader's catalog. Returns the result of each attempt.
        """
        results: dict[int, AppendResult] = {}
        self._take_lease_and_die()
        left = list(members)

        def lead() -> None:
            self.clock.advance(LEASE_SECONDS)
            results[leader.attempt_id] = self._append(self.writer(wrap), leader)

        def next_one(request: Request, send: Send) -> dict[str, Any]:
            """Between a member's first and second look at the lease, the others enlist and the leader lands all."""
            enlist()
            return send(**request.arguments)

        def enlist() -> None:
            if not left:
                lead()
                return
            member = left.pop(0)
            client = FaultyDynamoDB(self._dynamodb)
            client.plan(GET, passed, next_one)
            results[member.attempt_id] = self._append(self._writer(client), member)

        enlist()
        return results

    def _append(self, writer: SalesTable, attempt: Attempt) -> AppendResult:
        pinned = writer.begin(attempt.attempt_id, self.soon())
        if attempt.looked_up:
            assert pinned.resolve([], attempt.sales, self.soon()) == Resolution()
        pinned.prepare(attempt.sales, self.soon())
        return pinned.append(attempt.sales, attempt.fenced, self.soon())

    def _writer(self, client: FaultyDynamoDB, wrap: Wrap = lambda catalog: catalog) -> SalesTable:
        retry = Retry(self.clock, random.Random(1), first_seconds=0.001, longest_seconds=0.05)
        return IcebergSalesTable(self.table.store(wrap), retry, self._queue(client), always_in_groups=True)

    def _queue(self, client: Any) -> DynamoDBCommitQueue:
        batches = Batches(client, guard_table("guard"), Retry(self.clock, random.Random(1)), InTurn())
        return DynamoDBCommitQueue(batches, self.table.identifier, self.clock, InTurn())

    def _take_lease_and_die(self) -> None:
        queue = self._queue(FaultyDynamoDB(self._dynamodb))
        lease: Lease = queue.lease(self.soon())
        assert queue.take(lease, DEAD_LEADER, LEASE_SECONDS, self.soon()) is not None


def head_of(table: Table) -> Snapshot:
    head = table.current_snapshot()
    assert head is not None
    return head


def summary_of(table: Table) -> dict[str, str]:
    head = head_of(table)
    assert head.summary is not None
    return head.summary.additional_properties


def manifests_of(table: Table) -> Sequence[ManifestFile]:
    return head_of(table).manifests(table.io)


def entries_of(table: Table) -> dict[str, tuple[Any, ...]]:
    """Return the manifest entry of each data file, by its path."""

    def content(entry: ManifestEntry) -> tuple[Any, ...]:
        file = entry.data_file
        numbers = (entry.snapshot_id, entry.sequence_number, entry.file_sequence_number)
        return (*numbers, file.partition, file.record_count, file.lower_bounds, file.file_size_in_bytes)

    entries = [entry for manifest in manifests_of(table) for entry in manifest.fetch_manifest_entry(table.io)]
    assert len(entries) == len({entry.data_file.file_path for entry in entries}), "no file is listed twice"
    return {entry.data_file.file_path: content(entry) for entry in entries}
