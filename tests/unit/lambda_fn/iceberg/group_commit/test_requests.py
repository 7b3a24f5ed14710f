"""The number of requests to DynamoDB that a commit takes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lambda_fn.aws.batch_requests import Batches
from lambda_fn.commit_queue.queue_table import DynamoDBCommitQueue
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.iceberg.group_commit.commit_queue import Lease
from lambda_fn.iceberg.store import Committed
from lambda_fn.ports import AppendResult, Landed
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.faulty_dynamodb import EXECUTE, GET, QUERY, WRITE, FaultyDynamoDB, Request, Send, passed
from tests.fakes.parallel import InTurn
from tests.unit.lambda_fn.iceberg.table_store import FIRST, LOST, SECOND, Store, a_sale, landing, table

LEADER = 500
LEASE_SECONDS = 3.0


class Writer:
    """A process with a client of its own."""

    def __init__(self, store: Store, dynamodb: FakeDynamoDB) -> None:
        self.store = store
        self.client = FaultyDynamoDB(dynamodb)
        client: Any = self.client
        batches = Batches(client, guard_table("guard"), store.retry, InTurn())
        self.queue = DynamoDBCommitQueue(batches, ("n", "t"), store.clock, InTurn())

    def append(self, attempt_id: int, *, always_in_groups: bool = True) -> AppendResult:
        sales = self.store.table(self.queue, always_in_groups=always_in_groups)
        sales.look_for_contention(self.store.soon())
        if not always_in_groups:
            self.client.requests.clear()
        return sales.begin(attempt_id, self.store.soon()).append([a_sale()], (), self.store.soon())

    def requests(self) -> Counter[str]:
        return Counter(request.action for request in self.client.requests)


def dynamodb() -> FakeDynamoDB:
    return FakeDynamoDB(guard_table("guard"))


def test_a_commit_without_contention_takes_none() -> None:
    writer = Writer(Store([FIRST], [Committed(table(1, 9))]), dynamodb())
    assert writer.append(9, always_in_groups=False) == Landed(9)
    assert not writer.requests()


def test_a_leader_alone_takes_four() -> None:
    writer = Writer(Store([FIRST], [Committed(table(1, 9))]), dynamodb())
    assert writer.append(9) == Landed(9)
    assert writer.requests() == {GET: 1, EXECUTE: 2, QUERY: 1}


def test_a_refused_commit_takes_two_more() -> None:
    writer = Writer(Store([FIRST, FIRST, SECOND], [LOST, Committed(table(1, 2, 9))]), dynamodb())
    assert writer.append(9) == Landed(9, conflicts=1)
    assert writer.requests() == {GET: 1, EXECUTE: 3, QUERY: 2}


def test_a_member_takes_three_and_its_leader_five() -> None:
    members = [1, 2, 3, 4, 5]
    store = Store([FIRST], [Committed(table(1, landing(LEADER, *members)))])
    shared = dynamodb()
    leader = Writer(store, shared)
    # A leader that has died.
    assert leader.queue.take(Lease(), 77, LEASE_SECONDS, store.soon()) is not None
    leader.client.requests.clear()
    waiting: list[Writer] = []

    def another_enlists(request: Request, send: Send) -> dict[str, Any]:
        """What happens between a member's first and second look at the lease."""
        if len(waiting) < len(members):
            enlist(members[len(waiting)])
        else:
            store.clock.advance(LEASE_SECONDS)
            assert leader.append(LEADER) == Landed(LEADER, group_size=1 + len(members))
        return send(**request.arguments)

    def enlist(attempt_id: int) -> None:
        waiting.append(Writer(store, shared))
        waiting[-1].client.plan(GET, passed, another_enlists)
        assert waiting[-1].append(attempt_id) == Landed(LEADER, group_size=0)

    enlist(members[0])
    assert [writer.requests() for writer in waiting] == [{GET: 2, WRITE: 1}] * len(members)
    assert leader.requests() == {GET: 1, EXECUTE: 2, QUERY: 1, WRITE: 1}
