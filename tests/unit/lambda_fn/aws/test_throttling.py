"""Throttled requests, items and statements are counted."""

from __future__ import annotations

import random
from typing import Any

import pytest

from lambda_fn.aws.batch_requests import Batches, ItemKey
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.runtime.retry import Deadline, Retry
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.faulty_dynamodb import (
    EXECUTE,
    GET,
    WRITE,
    FaultyDynamoDB,
    answer_lost,
    refused,
    statements_refused,
    unprocessed,
)
from tests.fakes.parallel import InTurn

ITEMS: list[dict[str, Any]] = [{"pk": {"S": str(number)}, "sk": {"S": "V"}} for number in range(4)]
KEYS = [ItemKey(str(number), "V") for number in range(4)]


class Throttled:
    """Batches over a fake that throttles, and the throttling that they counted."""

    def __init__(self) -> None:
        clock = FakeClock()
        table = guard_table("guard")
        fake: Any = FakeDynamoDB(table)
        self.database = FaultyDynamoDB(fake)
        client: Any = self.database
        self.counted: list[int] = []
        retry = Retry(clock, random.Random(1))
        self.batches = Batches(client, table, retry, InTurn(), throttled=self.counted.append)
        self.deadline = Deadline.after(clock, 58)


@pytest.fixture
def world() -> Throttled:
    return Throttled()


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"]
)
def test_a_refused_request_counts_once(world: Throttled, code: str) -> None:
    world.database.plan(WRITE, refused(code), refused(code))
    world.database.plan(GET, refused(code))
    assert world.batches.put(ITEMS, world.deadline) == set(KEYS)
    assert len(world.batches.get(KEYS, world.deadline)) == len(KEYS)
    assert world.counted == [1, 1, 1]


def test_each_unprocessed_item_counts(world: Throttled) -> None:
    world.database.plan(WRITE, unprocessed(0.5))
    world.database.plan(GET, unprocessed(0.75))
    world.batches.put(ITEMS, world.deadline)
    world.batches.get(KEYS, world.deadline)
    assert world.counted == [2, 1]


def large_items(number: int) -> list[dict[str, Any]]:
    return [{"pk": {"S": str(count)}, "sk": {"S": "V"}, "text": {"S": "é" * 190_000}} for count in range(number)]


def test_items_beyond_the_largest_answer_do_not_count(world: Throttled) -> None:
    keys = world.batches.put(large_items(90), world.deadline)
    assert world.batches.get(keys, world.deadline).keys() == keys
    assert world.database.count(GET) == 3
    assert world.counted == []


def test_unprocessed_items_of_a_smaller_answer_count(world: Throttled) -> None:
    keys = world.batches.put(large_items(40), world.deadline)
    world.database.plan(GET, unprocessed(0.9))
    assert world.batches.get(keys, world.deadline).keys() == keys
    assert world.counted == [4]


def test_each_throttled_statement_counts(world: Throttled) -> None:
    statement = ("INSERT INTO \"guard\" VALUE {'pk': ?, 'sk': ?}", [{"S": "new"}, {"S": "V"}])
    world.database.plan(EXECUTE, statements_refused("ThrottlingError"))
    world.batches.execute([statement], world.deadline)
    assert world.counted == [1]


def test_other_errors_do_not_count(world: Throttled) -> None:
    world.database.plan(WRITE, refused("InternalServerError", 500), answer_lost)
    world.database.plan(EXECUTE, statements_refused("TransactionConflict"))
    world.batches.put(ITEMS, world.deadline)
    world.batches.execute(
        [("INSERT INTO \"guard\" VALUE {'pk': ?, 'sk': ?}", [{"S": "n"}, {"S": "V"}])], world.deadline
    )
    assert world.counted == []
