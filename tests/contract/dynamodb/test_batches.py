"""How DynamoDB answers the three requests that lambda_fn sends, and how lambda_fn handles the answers.

The first part tests what the fake has to have in common with the engines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnectedError

from lambda_fn.aws.batch_requests import ItemKey, is_transient
from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.runtime.parallel import Threads
from testbed.dynamodb.memory import client_error
from tests.contract.dynamodb.dynamodb_world import Store, World
from tests.fakes.faulty_dynamodb import (
    EXECUTE,
    GET,
    WRITE,
    Request,
    Send,
    answer_lost,
    passed,
    request_lost,
    unprocessed,
)
from tests.fakes.parallel import InTurn

Item = dict[str, Any]

INSERT = "INSERT INTO \"{table}\" VALUE {{'pk': ?, 'sk': ?, 'n': ?}}"
UPDATE = 'UPDATE "{table}" SET "n" = ? REMOVE "m" WHERE "pk" = ? AND "sk" = ? AND "n" = ?'


def _key(world: World, name: str) -> Item:
    return {"pk": {"S": f"{world.tenant}#{name}"}, "sk": {"S": "V"}}


def _insert(world: World, name: str, number: str = "1") -> tuple[str, list[Item]]:
    return INSERT.format(table=world.store.guard_name), [*_key(world, name).values(), {"N": number}]


def _update(world: World, name: str, *, old: Item, new: Item) -> tuple[str, list[Item]]:
    return UPDATE.format(table=world.store.guard_name), [new, *_key(world, name).values(), old]


def _statement(text: str, *parameters: Item) -> dict[str, Any]:
    return {"Statement": text, "Parameters": list(parameters)}


def _execute(world: World, *statements: tuple[str, list[Item]]) -> list[str | None]:
    """Return the error code of each statement of one request."""
    answer = world.client.batch_execute_statement(Statements=[_statement(text, *given) for text, given in statements])
    return [response.get("Error", {}).get("Code") for response in answer["Responses"]]


def _put(world: World, *items: Item) -> dict[str, Any]:
    requests = [{"PutRequest": {"Item": item}} for item in items]
    return world.client.batch_write_item(RequestItems={world.store.guard_name: requests})


def _get(world: World, *keys: Item) -> list[Item]:
    name = world.store.guard_name
    answer = world.client.batch_get_item(RequestItems={name: {"Keys": list(keys), "ConsistentRead": True}})
    assert answer["UnprocessedKeys"] == {}
    items: list[Item] = answer["Responses"][name]
    return items


def _code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    error: Any = raised.value.response
    code: str = error["Error"]["Code"]
    return code


# --- DynamoDB and its stand-ins --------------------------------------------------------------------------------------


def test_an_item_is_inserted_once(world: World) -> None:
    assert _execute(world, _insert(world, "a"), _insert(world, "b")) == [None, None]
    assert _execute(world, _insert(world, "b", "2"), _insert(world, "c")) == ["DuplicateItem", None]
    assert _get(world, _key(world, "b")) == [{**_key(world, "b"), "n": {"N": "1"}}]


def test_an_update_takes_effect_when_its_condition_holds(world: World) -> None:
    _put(world, {**_key(world, "a"), "n": {"N": "1"}, "m": {"S": "x"}, "other": {"S": "y"}})
    assert _execute(world, _update(world, "a", old={"N": "1.00"}, new={"L": [{"N": "2"}]})) == [None]
    expected = {**_key(world, "a"), "n": {"L": [{"N": "2"}]}, "other": {"S": "y"}}
    assert _get(world, _key(world, "a")) == [expected]


@pytest.mark.parametrize("old", [{"N": "2"}, {"S": "1"}, {"NULL": True}])
def test_an_update_whose_condition_does_not_hold_changes_nothing(world: World, old: Item) -> None:
    item = {**_key(world, "a"), "n": {"N": "1"}, "m": {"S": "x"}}
    _put(world, item)
    assert _execute(world, _update(world, "a", old=old, new={"N": "3"})) == ["ConditionalCheckFailed"]
    assert _get(world, _key(world, "a")) == [item]


def test_an_update_creates_nothing(world: World) -> None:
    assert _execute(world, _update(world, "a", old={"N": "1"}, new={"N": "2"})) == ["ConditionalCheckFailed"]
    assert _get(world, _key(world, "a")) == []


def test_a_missing_attribute_equals_nothing_and_can_be_removed(world: World) -> None:
    _put(world, _key(world, "a"), {**_key(world, "b"), "n": {"N": "1"}})
    updates = [_update(world, name, old={"N": "1"}, new={"N": "2"}) for name in ("a", "b")]
    assert _execute(world, *updates) == ["ConditionalCheckFailed", None]


def test_numbers_are_returned_in_canonical_form(world: World) -> None:
    forms = {
        "10.0": "10",
        "1E+5": "100000",
        "-0": "0",
        "0.00012300": "0.000123",
        "-1.50": "-1.5",
        "1e-7": "0.0000001",
        "9223372036854775807": "9223372036854775807",
        "007": "7",
        "1e30": "1" + "0" * 30,
        "123456789.12345678900": "123456789.123456789",
    }
    item = {**_key(world, "a"), **{f"n{index}": {"N": written} for index, written in enumerate(forms)}}
    _put(world, item)
    (found,) = _get(world, _key(world, "a"))
    assert [found[f"n{index}"]["N"] for index in range(len(forms))] == list(forms.values())


@pytest.mark.parametrize("number", ["1" * 39, "NaN", "Infinity", "", "one", "1e126"])
def test_invalid_numbers_are_refused(world: World, number: str) -> None:
    with pytest.raises(ClientError) as raised:
        _put(world, {**_key(world, "a"), "n": {"N": number}})
    assert _code(raised) == "ValidationException"
    assert _get(world, _key(world, "a")) == []


def test_a_put_replaces_the_whole_item(world: World) -> None:
    _put(world, {**_key(world, "a"), "n": {"N": "1"}})
    assert _put(world, {**_key(world, "a"), "text": {"S": ""}, "flag": {"BOOL": False}})["UnprocessedItems"] == {}
    assert _get(world, _key(world, "a")) == [{**_key(world, "a"), "text": {"S": ""}, "flag": {"BOOL": False}}]


def test_nothing_is_shared_with_the_caller(world: World) -> None:
    item: Item = {**_key(world, "a"), "l": {"L": [{"M": {"x": {"N": "1"}}}]}}
    _put(world, item)
    item["l"]["L"][0]["M"]["x"]["N"] = "2"
    (found,) = _get(world, _key(world, "a"))
    found["l"]["L"][0]["M"]["x"]["N"] = "3"
    found["pk"]["S"] = "other"
    assert _get(world, _key(world, "a")) == [{**_key(world, "a"), "l": {"L": [{"M": {"x": {"N": "1"}}}]}}]


def test_request_limits(world: World) -> None:
    names = [str(number) for number in range(101)]
    requests: list[Callable[[], object]] = [
        lambda: _execute(world, *[_insert(world, name) for name in names[:26]]),
        lambda: _put(world, *[_key(world, name) for name in names[:26]]),
        lambda: _get(world, *[_key(world, name) for name in names]),
        lambda: _put(world, _key(world, "a"), _key(world, "a")),
        lambda: _get(world, _key(world, "a"), _key(world, "a")),
        *(lambda action=action: action(world) for action in (_execute, _put, _get)),
    ]
    for request in requests:
        with pytest.raises(ClientError) as raised:
            request()
        assert _code(raised) == "ValidationException"
    assert _get(world, *[_key(world, name) for name in names[:100]]) == []


def test_one_oversized_item_fails_the_whole_request(world: World) -> None:
    name = _key(world, "large")["pk"]["S"]
    room = 400 * 1024 - len(f"pk{name}skVx")
    with pytest.raises(ClientError) as raised:
        _put(world, _key(world, "small"), {**_key(world, "large"), "x": {"S": "x" * (room + 1)}})
    assert _code(raised) == "ValidationException"
    assert _get(world, _key(world, "small"), _key(world, "large")) == []
    _put(world, {**_key(world, "large"), "x": {"S": "x" * room}})
    assert len(_get(world, _key(world, "large"))) == 1


@pytest.mark.parametrize("key", [{"pk": {"S": "x"}}, {"pk": {"S": ""}, "sk": {"S": "V"}}])
def test_an_item_needs_a_complete_key(world: World, key: Item) -> None:
    with pytest.raises(ClientError) as raised:
        _put(world, key)
    assert _code(raised) == "ValidationException"


def test_a_missing_table_is_reported(world: World) -> None:
    nowhere = World(Store(world.store.client, f"{world.store.guard_name}-2", world.store.projection_name), InTurn())
    for request in (lambda: _put(nowhere, _key(world, "a")), lambda: _get(nowhere, _key(world, "a"))):
        with pytest.raises(ClientError) as raised:
            request()
        assert _code(raised) == "ResourceNotFoundException"
    assert _execute(nowhere, _insert(nowhere, "a")) == ["ResourceNotFound"]
    with pytest.raises(StoreUnavailable, match=rf"{nowhere.store.guard_name}.*check that the table exists"):
        nowhere.claim(nowhere.sale(), attempt_id=11)


def test_invalid_statements_are_refused(strict_store: Store) -> None:
    world = World(strict_store, InTurn())
    table = strict_store.guard_name
    key = list(_key(world, "a").values())
    _put(world, {**_key(world, "a"), "n": {"N": "1"}})
    set_n = f'UPDATE "{table}" SET "n" = ? WHERE "pk" = ? AND "sk" = ?'  # noqa: S608
    refused: list[tuple[str, list[Item]]] = [
        (set_n, key),
        (set_n.removesuffix(' AND "sk" = ?'), [{"N": "1"}, key[0]]),
        (set_n.replace('SET "n"', 'SET "sk"'), [{"S": "W"}, *key]),
        (set_n, [{"N": "1"}, key[0], {"N": "1"}]),
        (set_n, [{"S": "x" * 410_000}, *key]),
        (f"INSERT INTO \"{table}\" VALUE {{'pk': ?}}", key[:1]),
        (f"INSERT INTO \"{table}\" VALUE {{'pk': ?, 'sk': ?}}", [{"S": "b"}, {"N": "1"}]),
        (f"INSERT INTO \"{table}\" VALUE {{'pk': ?, 'sk': ?}}", [{"S": ""}, {"S": "V"}]),
    ]
    for statement in refused:
        assert _execute(world, statement) == ["ValidationError"], statement
    assert _get(world, _key(world, "a")) == [{**_key(world, "a"), "n": {"N": "1"}}]


def test_two_statements_for_one_item_fail_the_whole_request(strict_store: Store) -> None:
    world = World(strict_store, InTurn())
    with pytest.raises(ClientError) as raised:
        _execute(world, _insert(world, "a"), _update(world, "a", old={"N": "1"}, new={"N": "2"}))
    assert _code(raised) == "ValidationException"


def test_an_invalid_parameter_fails_the_whole_request(strict_store: Store) -> None:
    world = World(strict_store, InTurn())
    with pytest.raises(ClientError) as raised:
        _execute(world, _insert(world, "a"), _insert(world, "b", "one"))
    assert _code(raised) == "ValidationException"
    assert _get(world, _key(world, "a")) == []


# --- Batches ---------------------------------------------------------------------------------------------------------


def _keys(world: World, count: int) -> list[ItemKey]:
    return [ItemKey(f"{world.tenant}#{number}", "V") for number in range(count)]


def test_statement_results_are_in_order(world: World) -> None:
    _execute(world, *[_insert(world, str(number)) for number in range(0, 60, 3)])
    answers = world.guard_batches.execute([_insert(world, str(number)) for number in range(60)], world.deadline())
    assert [answer.error for answer in answers] == ["DuplicateItem", None, None] * 20


def test_a_batch_without_an_answer_does_not_affect_the_others(world_in_turn: World) -> None:
    world_in_turn.client.plan(EXECUTE, passed, answer_lost, passed)
    answers = world_in_turn.guard_batches.execute(
        [_insert(world_in_turn, str(number)) for number in range(60)], world_in_turn.deadline()
    )
    assert [answer.error for answer in answers] == [None] * 25 + ["NoAnswer"] * 25 + [None] * 10


def test_a_refusal_is_raised_after_all_requests_have_ended(store: Store) -> None:
    """A request that is still under way could take effect unnoticed."""
    world = World(store, Threads(4))
    others_are_under_way = threading.Barrier(3, timeout=30)

    def refused_first(request: Request, send: Send) -> dict[str, Any]:
        others_are_under_way.wait()
        raise client_error("AccessDeniedException", request.action)

    def slow(request: Request, send: Send) -> dict[str, Any]:
        others_are_under_way.wait()
        return send(**request.arguments)

    world.client.plan(EXECUTE, refused_first, slow, slow)
    with pytest.raises(StoreUnavailable):
        world.guard_batches.execute([_insert(world, str(number)) for number in range(75)], world.deadline())
    assert len(world.guard_batches.get(_keys(world, 75), world.deadline())) == 50


def test_no_request_starts_that_could_end_after_the_deadline(world_in_turn: World) -> None:
    """Each request runs into its time-out of 5 seconds: two fit into 12 seconds."""
    world = world_in_turn

    def hangs(request: Request, send: Send) -> dict[str, Any]:
        world.clock.advance(world.guard_batches.request_seconds)
        return request_lost(request, send)

    for action in (EXECUTE, GET, WRITE):
        world.client.always(action, hangs)
    answers = world.guard_batches.execute([_insert(world, str(number)) for number in range(250)], world.deadline(12))
    assert [answer.error for answer in answers] == ["NoAnswer"] * 250
    with pytest.raises(OutOfTime):
        world.guard_batches.get(_keys(world, 1000), world.deadline(12))
    items = [{"pk": {"S": key.partition}, "sk": {"S": key.sort}} for key in _keys(world, 250)]
    assert world.guard_batches.put(items, world.deadline(12)) == set()
    assert [world.client.count(action) for action in (EXECUTE, GET, WRITE)] == [2, 2, 2]


def test_only_unprocessed_items_are_requested_again(world_in_turn: World) -> None:
    world = world_in_turn
    items = [{**_key(world, str(number)), "n": {"N": str(number)}} for number in range(40)]
    world.client.plan(WRITE, unprocessed(0.4), passed)
    stored = world.guard_batches.put(items, world.deadline())
    assert stored == set(_keys(world, 40))
    assert _sizes(world, WRITE) == [25, 15, 15]

    world.client.plan(GET, unprocessed(0.75))
    found = world.guard_batches.get(_keys(world, 41), world.deadline())
    assert found == dict(zip(_keys(world, 40), items, strict=True))
    assert _sizes(world, GET) == [41, 11]


def _sizes(world: World, action: str) -> list[int]:
    contents: list[Any] = [
        content
        for request in world.client.requests
        if request.action == action
        for content in request.arguments["RequestItems"].values()
    ]
    return [len(content["Keys"] if action == GET else content) for content in contents]


def test_pauses_grow_and_end_before_the_deadline(world: World) -> None:
    world.client.always(GET, unprocessed(0.0))
    deadline = world.deadline(30.0)
    with pytest.raises(OutOfTime):
        world.guard_batches.get(_keys(world, 1), deadline)
    assert 4 < deadline.remaining_seconds() < 8
    assert 10 < world.client.count(GET) < 60


@pytest.mark.parametrize(
    "error",
    [
        ConnectionClosedError(endpoint_url="https://x"),
        EndpointConnectionError(endpoint_url="https://x"),
        HTTPClientError(error=OSError("reset")),
        NotConnectedError(error=OSError("unreachable")),
        SSLError(endpoint_url="https://x", error=OSError("handshake")),
        client_error("Unheard", "Get", status=500),
    ],
    ids=lambda error: type(error).__name__,
)
def test_network_and_server_errors_are_transient(error: BotoCoreError | ClientError) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error", [NoCredentialsError(), ParamValidationError(report="x"), client_error("ValidationException", "Get")]
)
def test_errors_in_the_request_are_not_transient(error: BotoCoreError | ClientError) -> None:
    assert not is_transient(error)
