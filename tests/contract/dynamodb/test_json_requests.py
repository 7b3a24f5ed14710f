"""The requests that are built here, beside those of an SDK client, on real services: same answers, same refusals."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lambda_fn.json_requests import SQSRequests
from testbed.emulator import REGION
from tests.contract.dynamodb.dynamodb_world import TIMEOUTS, Store

Call = Callable[[Any], Any]
TEXTS = ["plain", "é ü €", "\U0001f424", 'a "quoted" \\ text', "line\nline\ttab"]
"""Texts that JSON may write in more ways than one."""


def key(name: str) -> dict[str, Any]:
    return {"pk": {"S": name}, "sk": {"S": "METADATA"}}


def item(name: str, text: str) -> dict[str, Any]:
    return {**key(name), "text": {"S": text}, "number": {"N": "-12.50"}, "list": {"L": [{"N": "1"}, {"NULL": True}]}}


def both(store: Store, call: Call) -> tuple[Any, Any]:
    """Return what the function's client and the SDK's answer, or how they refuse."""
    return tuple(outcome(client, call) for client in (store.client, store.sdk))


def outcome(client: Any, call: Call) -> Any:
    try:
        answer = dict(call(client))
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return error.response["Error"]["Code"], error.response["Error"]["Message"], status
    answer.pop("ResponseMetadata", None)
    return answer


@pytest.mark.parametrize("text", TEXTS)
def test_items_are_written_and_read_alike(store_with_indexes: Store, text: str) -> None:
    store = store_with_indexes
    names = [uuid.uuid4().hex for _ in range(2)]
    puts = [{"PutRequest": {"Item": item(name, text)}} for name in names]
    ours, sdks = both(store, lambda client: client.batch_write_item(RequestItems={store.guard_name: puts}))
    assert ours == sdks
    wanted = {store.guard_name: {"Keys": [key(names[0]), key(uuid.uuid4().hex)], "ConsistentRead": True}}
    ours, sdks = both(store, lambda client: client.batch_get_item(RequestItems=wanted))
    assert ours == sdks
    assert [found["text"] for found in ours["Responses"][store.guard_name]] == [{"S": text}]


def test_statements_are_answered_alike(store_with_indexes: Store) -> None:
    store = store_with_indexes
    name = uuid.uuid4().hex
    insert = f"INSERT INTO \"{store.guard_name}\" VALUE {{'pk': ?, 'sk': ?, 'owner': ?}}"
    update = f'UPDATE "{store.guard_name}" SET "owner" = ? WHERE "pk" = ? AND "sk" = ? AND "owner" = ?'  # noqa: S608
    keys = [*key(name).values()]
    first = {"Statement": insert, "Parameters": [*keys, {"N": "1"}]}
    assert outcome(store.client, lambda client: client.batch_execute_statement(Statements=[first])) == {
        "Responses": [{"TableName": store.guard_name}]
    }
    for refused in (first, {"Statement": update, "Parameters": [{"N": "2"}, *keys, {"N": "9"}]}):
        ours, sdks = both(store, lambda client, it=refused: client.batch_execute_statement(Statements=[it]))  # type: ignore[misc]
        assert ours == sdks
        assert ours["Responses"][0]["Error"]["Code"] in ("DuplicateItem", "ConditionalCheckFailed")


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.batch_get_item(RequestItems={"nowhere": {"Keys": [key("a")]}}),
        lambda client: client.batch_write_item(RequestItems={"nowhere": [{"PutRequest": {"Item": key("a")}}]}),
        lambda client: client.batch_get_item(RequestItems={"nowhere": {"Keys": [key("a"), key("a")]}}),
        lambda client: client.batch_execute_statement(Statements=[{"Statement": "SELECT"}] * 26),
    ],
    ids=["no table to read", "no table to write", "twice the same", "too many"],
)
def test_a_refusal_is_told_alike(store_with_indexes: Store, call: Call) -> None:
    ours, sdks = both(store_with_indexes, call)
    assert isinstance(ours, tuple)
    assert ours == sdks


@pytest.mark.parametrize("text", TEXTS)
def test_messages_are_sent_and_put_off_as_with_an_sdk_client(emulator_endpoint: str, text: str) -> None:
    sdk: Any = boto3.client("sqs", endpoint_url=emulator_endpoint, region_name=REGION)
    url = sdk.create_queue(QueueName=f"queue-{uuid.uuid4().hex}")["QueueUrl"]
    ours = SQSRequests(REGION, emulator_endpoint, *TIMEOUTS, connections=2)
    entries = [
        {
            "Id": str(number),
            "MessageBody": text,
            "MessageAttributes": {"reason": {"DataType": "String", "StringValue": "INVALID_JSON"}},
        }
        for number in range(2)
    ]
    sent = [client.send_message_batch(QueueUrl=url, Entries=entries) for client in (ours, sdk)]
    told = [[{**entry, "MessageId": ""} for entry in answer["Successful"]] for answer in sent]
    assert told[0] == told[1]

    received = sdk.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    assert [message["Body"] for message in received] == [text] * 4
    assert {message["MessageAttributes"]["reason"]["StringValue"] for message in received} == {"INVALID_JSON"}
    again = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
        for number, message in enumerate(received[:2])
    ]
    answer = ours.change_message_visibility_batch(QueueUrl=url, Entries=again)
    assert [entry["Id"] for entry in answer["Successful"]] == ["0", "1"]
    assert len(sdk.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == len(again)


def test_a_queue_that_is_not_there_is_a_refusal(emulator_endpoint: str) -> None:
    ours = SQSRequests(REGION, emulator_endpoint, *TIMEOUTS, connections=2)
    with pytest.raises(ClientError) as raised:
        ours.send_message_batch(QueueUrl=f"{emulator_endpoint}/nowhere", Entries=[{"Id": "0", "MessageBody": "x"}])
    assert "NonExistentQueue" in raised.value.response["Error"]["Code"] or "QueueDoesNotExist" in str(raised.value)
