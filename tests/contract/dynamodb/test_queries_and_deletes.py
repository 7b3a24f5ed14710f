"""Queries and deletes: how DynamoDB answers them, and how lambda_fn handles the answers.

The first part tests what the fake has to have in common with the engines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from lambda_fn.aws.batch_requests import Batches, Item, ItemKey
from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.runtime.parallel import Threads
from tests.contract.dynamodb.dynamodb_world import Store, World
from tests.fakes.faulty_dynamodb import (
    QUERY,
    WRITE,
    Fault,
    Request,
    Send,
    answer_lost,
    passed,
    refused,
    request_lost,
    unparsable,
    unprocessed,
)
from tests.fakes.parallel import InTurn

CONDITION = "pk = :partition AND begins_with(sk, :prefix)"


def _key(partition: str, sort: str) -> Item:
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def _write(world: World, *requests: Item) -> dict[str, Any]:
    return world.client.batch_write_item(RequestItems={world.store.guard_name: list(requests)})


def _put(world: World, *items: Item) -> None:
    assert _write(world, *({"PutRequest": {"Item": item}} for item in items))["UnprocessedItems"] == {}


def _delete(world: World, *keys: Item) -> dict[str, Any]:
    return _write(world, *({"DeleteRequest": {"Key": key}} for key in keys))


def _query(world: World, partition: str, prefix: str) -> dict[str, Any]:
    return world.client.query(
        TableName=world.store.guard_name,
        ConsistentRead=True,
        KeyConditionExpression=CONDITION,
        ExpressionAttributeValues={":partition": {"S": partition}, ":prefix": {"S": prefix}},
    )


def _sort_keys(items: Sequence[Item]) -> list[str]:
    return [item["sk"]["S"] for item in items]


def _refusal(request: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as raised:
        request()
    error: Any = raised.value.response
    code: str = error["Error"]["Code"]
    return code


# --- DynamoDB and its stand-ins --------------------------------------------------------------------------------------


def test_a_query_finds_the_items_of_one_partition_whose_sort_key_has_the_prefix(world: World) -> None:
    here, elsewhere = world.tenant, f"{world.tenant}-2"
    _put(world, *[_key(here, sort) for sort in ("E#2", "L", "E#10", "E", "E#é", "E#z", "F#1", "e#1")])
    _put(world, _key(elsewhere, "E#3"), _key(here + "#", "E#4"))
    answer = _query(world, here, "E#")
    assert _sort_keys(answer["Items"]) == ["E#10", "E#2", "E#z", "E#é"], "in the order of their bytes"
    assert answer["Count"] == 4
    assert "LastEvaluatedKey" not in answer
    assert _query(world, here, "G")["Items"] == []
    assert _query(world, f"{here}-3", "E#")["Items"] == []


def test_a_query_returns_whole_items(world: World) -> None:
    item = {**_key(world.tenant, "E#1"), "n": {"N": "1"}, "l": {"L": [{"L": [{"N": "2"}]}]}, "s": {"S": "é"}}
    _put(world, item)
    (found,) = _query(world, world.tenant, "E#")["Items"]
    assert found == item
    found["l"]["L"].append({"N": "3"})
    assert _query(world, world.tenant, "E#")["Items"] == [item]


def test_a_query_returns_one_page(strict_store: Store) -> None:
    """A page ends with the item that reaches 1 MB, and the answer names it."""
    world = World(strict_store, InTurn())
    _put(world, *[{**_key(world.tenant, f"E#{number}"), "x": {"S": "x" * 300_000}} for number in range(5)])
    answer = _query(world, world.tenant, "E#")
    assert _sort_keys(answer["Items"]) == ["E#0", "E#1", "E#2", "E#3"]
    assert answer["LastEvaluatedKey"] == _key(world.tenant, "E#3")


def test_a_delete_removes_the_item_and_only_it(world: World) -> None:
    keys = [_key(world.tenant, sort) for sort in ("E#1", "E#2", "E#3")]
    _put(world, *[{**key, "n": {"N": "1"}} for key in keys])
    assert _delete(world, *keys[:2])["UnprocessedItems"] == {}
    assert _sort_keys(_query(world, world.tenant, "E#")["Items"]) == ["E#3"]


def test_what_does_not_exist_can_be_deleted(world: World) -> None:
    for _ in range(2):
        assert _delete(world, _key(world.tenant, "E#1"))["UnprocessedItems"] == {}


def test_a_request_may_put_and_delete(world: World) -> None:
    old, new = _key(world.tenant, "E#1"), _key(world.tenant, "E#2")
    _put(world, old)
    _write(world, {"PutRequest": {"Item": new}}, {"DeleteRequest": {"Key": old}})
    assert _query(world, world.tenant, "E#")["Items"] == [new]


def test_one_request_writes_an_item_once(world: World) -> None:
    key = _key(world.tenant, "E#1")
    both: list[Item] = [{"PutRequest": {"Item": key}}, {"DeleteRequest": {"Key": key}}]
    assert _refusal(lambda: _write(world, *both)) == "ValidationException"
    assert _refusal(lambda: _delete(world, key, key)) == "ValidationException"
    assert _query(world, world.tenant, "E#")["Items"] == []


def test_a_delete_needs_a_complete_key_and_nothing_else(strict_store: Store) -> None:
    world = World(strict_store, InTurn())
    key = _key(world.tenant, "E#1")
    _put(world, key)
    for wrong in ({"pk": key["pk"]}, {**key, "n": {"N": "1"}}, {**key, "sk": {"N": "1"}}):
        assert _refusal(lambda wrong=wrong: _delete(world, wrong)) == "ValidationException"  # type: ignore[misc]
    assert _query(world, world.tenant, "E#")["Items"] == [key]


def test_a_missing_table_is_reported(world: World) -> None:
    nowhere = World(Store(world.store.client, f"{world.store.guard_name}-2", world.store.projection_name), InTurn())
    key = _key(world.tenant, "E#1")
    assert _refusal(lambda: _query(nowhere, world.tenant, "E#")) == "ResourceNotFoundException"
    assert _refusal(lambda: _delete(nowhere, key)) == "ResourceNotFoundException"


# --- Batches ---------------------------------------------------------------------------------------------------------


def _keys(world: World, count: int) -> list[ItemKey]:
    return [ItemKey(world.tenant, f"E#{number:03}") for number in range(count)]


def _stored(world: World, count: int) -> list[ItemKey]:
    keys = _keys(world, count)
    items = [_key(*key) for key in keys]
    assert world.guard_batches.put(items, world.deadline()) == set(keys)
    return keys


def _left(world: World) -> list[str]:
    return _sort_keys(world.guard_batches.query(world.tenant, "E#", world.deadline()))


def _counted(world: World) -> tuple[Batches, list[int]]:
    """Batches that count what DynamoDB throttles."""
    throttled: list[int] = []
    client: Any = world.client
    table = guard_table(world.store.guard_name)
    return Batches(client, table, world.retry, InTurn(), throttled=throttled.append), throttled


def test_batches_query_what_was_put_and_not_deleted(world: World) -> None:
    keys = _stored(world, 60)
    assert _left(world) == [key.sort for key in keys]
    assert world.guard_batches.delete(keys[10:], world.deadline()) == set(keys[10:])
    assert _left(world) == [key.sort for key in keys[:10]]


def test_nothing_is_requested_to_delete_nothing(world_in_turn: World) -> None:
    assert world_in_turn.guard_batches.delete([], world_in_turn.deadline()) == set()
    assert world_in_turn.client.requests == []


def test_only_unprocessed_deletes_are_requested_again(world_in_turn: World) -> None:
    world = world_in_turn
    keys = _stored(world, 40)
    world.client.requests.clear()
    batches, throttled = _counted(world)
    world.client.plan(WRITE, unprocessed(0.4), passed)
    assert batches.delete(keys, world.deadline()) == set(keys)
    sizes = [len(request.arguments["RequestItems"][world.store.guard_name]) for request in world.client.requests]
    assert sizes == [25, 15, 15]
    assert sum(throttled) == 15
    assert _left(world) == []


@pytest.mark.parametrize("fault", [answer_lost, request_lost, unparsable, refused("ThrottlingException")])
def test_a_delete_without_a_usable_answer_is_requested_again(world_in_turn: World, fault: Fault) -> None:
    world = world_in_turn
    keys = _stored(world, 1)
    world.client.plan(WRITE, fault)
    assert world.guard_batches.delete(keys, world.deadline()) == set(keys)
    assert world.client.count(WRITE) == 3
    assert _left(world) == []


def test_a_delete_that_never_gets_an_answer_is_not_reported_as_done(world_in_turn: World) -> None:
    world = world_in_turn
    keys = _stored(world, 2)
    world.client.always(WRITE, answer_lost)
    assert world.guard_batches.delete(keys, world.deadline(12)) == set()


def test_a_refused_delete_is_raised(world: World) -> None:
    world.client.plan(WRITE, refused("AccessDeniedException"))
    with pytest.raises(StoreUnavailable, match="refused BatchWriteItem"):
        world.guard_batches.delete(_keys(world, 1), world.deadline())


@pytest.mark.parametrize(
    ("fault", "throttled"),
    [
        (answer_lost, 0),
        (request_lost, 0),
        (unparsable, 0),
        (refused("InternalServerError", 500), 0),
        (refused("ThrottlingException"), 1),
        (refused("ProvisionedThroughputExceededException"), 1),
    ],
)
def test_a_query_without_a_usable_answer_is_repeated(world_in_turn: World, fault: Fault, throttled: int) -> None:
    world = world_in_turn
    keys = _stored(world, 2)
    batches, counted = _counted(world)
    world.client.plan(QUERY, fault, fault)
    found = batches.query(world.tenant, "E#", world.deadline())
    assert _sort_keys(found) == [key.sort for key in keys]
    assert world.client.count(QUERY) == 3
    assert sum(counted) == 2 * throttled


@pytest.mark.parametrize("fault", [request_lost, unparsable, refused("ThrottlingException")])
def test_a_query_that_never_gets_an_answer_ends_before_the_deadline(world_in_turn: World, fault: Fault) -> None:
    world = world_in_turn

    def slow(request: Request, send: Send) -> dict[str, Any]:
        world.clock.advance(world.guard_batches.request_seconds)
        return fault(request, send)

    world.client.always(QUERY, slow)
    deadline = world.deadline(12)
    with pytest.raises(OutOfTime, match=world.tenant):
        world.guard_batches.query(world.tenant, "E#", deadline)
    assert world.client.count(QUERY) == 2
    assert deadline.remaining_seconds() >= 0


def test_a_query_that_is_refused_is_raised_at_once(world: World) -> None:
    def no_credentials(request: Request, send: Send) -> dict[str, Any]:
        raise NoCredentialsError

    for fault in (refused("AccessDeniedException"), refused("ResourceNotFoundException"), no_credentials):
        world.client.plan(QUERY, fault)
        with pytest.raises(StoreUnavailable, match="refused Query"):
            world.guard_batches.query(world.tenant, "E#", world.deadline())
    assert world.client.count(QUERY) == 3


def test_a_query_reads_one_page(strict_store: Store) -> None:
    world = World(strict_store, Threads(4))
    _put(world, *[{**_key(world.tenant, f"E#{number}"), "x": {"S": "x" * 300_000}} for number in range(5)])
    assert _left(world) == ["E#0", "E#1", "E#2", "E#3"]
    assert world.client.count(QUERY) == 1
