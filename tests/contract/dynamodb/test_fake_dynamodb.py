"""What the fake has besides a client: state that can be inspected, saved and restored, and errors for the unknown."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_fn.aws.batch_requests import KeyedTable
from testbed.dynamodb.attribute_values import item_size_bytes
from testbed.dynamodb.partiql import UnsupportedStatement, parse
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb import FakeDynamoDB

TABLE = KeyedTable("guard", "pk", "sk")
KEY = {"pk": {"S": "a"}, "sk": {"S": "V"}}
QUERY = {
    "TableName": "guard",
    "ConsistentRead": True,
    "KeyConditionExpression": "pk = :partition AND begins_with(sk, :prefix)",
    "ExpressionAttributeValues": {":partition": {"S": "a"}, ":prefix": {"S": "V"}},
}


def _store(*items: dict[str, Any]) -> FakeDynamoDB:
    store = FakeDynamoDB(TABLE)
    for item in items:
        store.batch_write_item(RequestItems={"guard": [{"PutRequest": {"Item": item}}]})
    return store


def test_tables_can_be_read_and_modified() -> None:
    store = _store(KEY)
    assert store.tables == {"guard": {TABLE.key_of(KEY): KEY}}
    del store.tables["guard"][TABLE.key_of(KEY)]
    answer = store.batch_get_item(RequestItems={"guard": {"Keys": [KEY], "ConsistentRead": True}})
    assert answer["Responses"] == {"guard": []}


def test_later_writes_do_not_change_a_snapshot() -> None:
    store = _store({**KEY, "n": {"N": "1"}})
    snapshot = store.snapshot()
    for _ in range(2):
        statement = 'UPDATE "guard" SET "n" = ? WHERE "pk" = ? AND "sk" = ?'
        store.batch_execute_statement(Statements=[{"Statement": statement, "Parameters": [{"N": "2"}, *KEY.values()]}])
        assert store.tables["guard"][TABLE.key_of(KEY)]["n"] == {"N": "2"}
        store.restore(snapshot)
        assert store.tables["guard"] == {TABLE.key_of(KEY): {**KEY, "n": {"N": "1"}}}


def test_only_expired_items_are_deleted() -> None:
    expired, running, lasting = ({"pk": {"S": name}, "sk": {"S": "V"}} for name in ("a", "b", "c"))
    store = _store({**expired, "ttl": {"N": "99"}}, {**running, "ttl": {"N": "100"}}, lasting)
    assert store.delete_expired(now=100.0) == 1
    assert store.tables["guard"].keys() == {TABLE.key_of(running), TABLE.key_of(lasting)}


@pytest.mark.parametrize(
    "statement",
    [
        "",
        'DELETE FROM "guard" WHERE "pk" = ?',
        'SELECT * FROM "guard"',
        "INSERT INTO \"guard\" VALUE {'pk': 'a'}",
        "INSERT INTO \"guard\" VALUE {'pk': ?, 'pk': ?}",
        'UPDATE "guard" SET "n" = ? WHERE "pk" = ? OR "sk" = ?',
        'UPDATE "guard" SET "n" = ? WHERE "pk" = ? AND "ttl" < ?',
        'UPDATE "guard" SET "n" = ? SET "n" = ? WHERE "pk" = ?',
        'UPDATE "guard" SET "n" = ? RETURNING ALL NEW * WHERE "pk" = ?',
    ],
)
def test_an_unknown_statement_is_an_error(statement: str) -> None:
    with pytest.raises(UnsupportedStatement):
        parse(statement)


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("batch_get_item", {"RequestItems": {"guard": {"Keys": [KEY]}}}),
        ("batch_get_item", {"RequestItems": {"guard": {"Keys": [KEY], "ConsistentRead": False}}}),
        ("batch_get_item", {"RequestItems": {"guard": {}, "other": {}}}),
        (
            "batch_write_item",
            {"RequestItems": {"guard": [{"DeleteRequest": {"Key": KEY}, "PutRequest": {"Item": KEY}}]}},
        ),
        ("batch_write_item", {"RequestItems": {"guard": [{"DeleteRequest": {"Key": KEY, "ReturnValues": "ALL_OLD"}}]}}),
        ("query", {**QUERY, "ConsistentRead": False}),
        ("query", {**QUERY, "Limit": 1}),
        ("query", {**QUERY, "KeyConditionExpression": "pk = :partition"}),
        ("batch_write_item", {"RequestItems": {}, "ReturnConsumedCapacity": "TOTAL"}),
        ("batch_execute_statement", {"Statements": [{"Statement": 'DELETE FROM "guard"'}]}),
    ],
)
def test_an_unknown_request_is_an_error(call: str, request_: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        getattr(_store(), call)(**request_)


def test_item_sizes_follow_dynamodbs_rule() -> None:
    assert item_size_bytes({"ab": {"S": "é"}}) == 2 + 2
    assert item_size_bytes({"n": {"N": "100"}, "m": {"N": "-123.4"}}) == 1 + 2 + 1 + 4
    assert item_size_bytes({"l": {"L": [{"S": "ab"}, {"BOOL": True}]}}) == 1 + 3 + (1 + 2) + (1 + 1)
    assert item_size_bytes({"m": {"M": {"x": {"NULL": True}}}}) == 1 + 3 + (1 + 1 + 1)


def test_time_passes_only_on_request() -> None:
    clock = FakeClock(now=1000.0)
    clock.sleep(1.5)
    clock.advance(0.5)
    assert (clock.now(), clock.monotonic()) == (1002.0, 2.0)
    clock.set_now(500.0)
    assert (clock.now(), clock.monotonic()) == (500.0, 2.0)
    with pytest.raises(ValueError, match="does not pass"):
        clock.advance(-1)
