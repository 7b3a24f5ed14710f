"""What Batches makes of answers that lack something, and the errors that it reports."""

from __future__ import annotations

import random
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lambda_fn.aws.batch_requests import (
    Batches,
    ItemKey,
    KeyedTable,
    StatementAnswer,
    is_transient,
    unreadable,
)
from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.runtime.retry import Deadline, Retry
from tests.fakes.clock import FakeClock
from tests.fakes.parallel import InTurn

TABLE = KeyedTable("guard", "pk", "sk")
KEY = ItemKey("p", "s")
STATEMENTS: list[tuple[str, list[Any]]] = [("UPDATE", []), ("INSERT", [])]
LOST = ReadTimeoutError(endpoint_url="https://dynamodb.test")
STAYS = "The affected sales stay in the queue."


class Client:
    """Answers each request with the next of these answers, the last again and again. Each takes some seconds."""

    def __init__(self, *answers: Any, seconds: float = 0.0) -> None:
        self.clock = FakeClock()
        self.throttled: list[int] = []
        self.requests: list[Any] = []
        self._answers = list(answers)
        self._seconds = seconds

    def _answer(self, **request: Any) -> Any:
        self.clock.advance(self._seconds)
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    batch_get_item = batch_write_item = batch_execute_statement = query = _answer

    @property
    def batches(self) -> Batches:
        client: Any = self
        retry = Retry(self.clock, random.Random(1))
        return Batches(client, TABLE, retry, InTurn(), throttled=self.throttled.append)

    def soon(self, seconds: float = 60.0) -> Deadline:
        return Deadline.after(self.clock, seconds)


def error(response: dict[str, Any]) -> ClientError:
    return ClientError(response, "Query")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("response", "transient"),
    [
        ({"Error": {"Code": "SlowDown"}}, True),
        ({"Error": {"Code": "ValidationException"}}, False),
        ({"ResponseMetadata": {"HTTPStatusCode": 500}}, True),
        ({"ResponseMetadata": {"HTTPStatusCode": 499}}, False),
        ({"ResponseMetadata": {}}, False),
        ({}, False),
    ],
)
def test_an_error_is_transient_by_its_code_or_its_status(response: dict[str, Any], transient: bool) -> None:
    assert is_transient(error(response)) is transient


def test_a_server_error_without_a_code_is_not_throttling() -> None:
    client = Client(error({"ResponseMetadata": {"HTTPStatusCode": 503}}), {"Items": []})
    assert client.batches.query("p", "s", client.soon()) == []
    assert client.throttled == []


# --- the errors ------------------------------------------------------------------------------------------------------


def test_a_query_without_an_answer_names_table_and_partition() -> None:
    client = Client(LOST, seconds=3.0)
    with pytest.raises(OutOfTime) as raised:
        client.batches.query("p", "s", client.soon(12))
    assert str(raised.value) == f"DynamoDB table guard: partition p could not be read in time. {STAYS}"


def test_items_that_are_not_read_in_time_are_counted() -> None:
    client = Client(LOST, seconds=3.0)
    with pytest.raises(OutOfTime) as raised:
        client.batches.get([KEY, ItemKey("p", "2")], client.soon(12))
    assert str(raised.value) == f"DynamoDB table guard: 2 of 2 items could not be read in time. {STAYS}"


@pytest.mark.parametrize(
    ("action", "send"),
    [
        ("BatchGetItem", lambda client: client.batches.get([KEY], client.soon())),
        ("BatchWriteItem", lambda client: client.batches.delete([KEY], client.soon())),
        ("BatchExecuteStatement", lambda client: client.batches.execute(STATEMENTS, client.soon())),
        ("Query", lambda client: client.batches.query("p", "s", client.soon())),
    ],
)
def test_a_refusal_names_the_request_and_what_to_check(action: str, send: Any) -> None:
    refusal = error({"Error": {"Code": "AccessDeniedException", "Message": "no"}})
    with pytest.raises(StoreUnavailable) as raised:
        send(Client(refusal))
    assert str(raised.value) == (
        f"DynamoDB refused {action} on table guard: {refusal}. The affected sales stay in the queue; check that the "
        "table exists and that the function's role may use it."
    )


def test_an_item_that_can_not_be_read_is_named_with_the_command_that_repairs_it() -> None:
    assert unreadable(TABLE, {"pk": {"S": "p"}, "sk": {"S": "s"}}) == (
        f"DynamoDB table guard: the item with key {KEY} can't be read; something other than the function has changed "
        "it. The affected sale stays in the queue. See: carousel-sync verify --repair"
    )


# --- reads -----------------------------------------------------------------------------------------------------------


def test_a_read_without_a_usable_answer_is_repeated() -> None:
    item = {"pk": {"S": "p"}, "sk": {"S": "s"}}
    client = Client({"ResponseMetadata": {"HTTPStatusCode": 200}}, {"Responses": {"guard": [item]}})
    assert client.batches.get([KEY], client.soon()) == {KEY: item}


def test_a_read_asks_for_at_most_a_hundred_items() -> None:
    client = Client({"Responses": {}})
    assert client.batches.get([ItemKey("p", str(number)) for number in range(250)], client.soon()) == {}
    assert [len(request["RequestItems"]["guard"]["Keys"]) for request in client.requests] == [100, 100, 50]


# --- statements ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "seconds", "cause"),
    [
        (LOST, 60.0, str(LOST)),
        ({"ResponseMetadata": {"HTTPStatusCode": 200}}, 60.0, "the answer could not be parsed"),
        ({"Responses": [{}, {}]}, 0.1, "no time was left"),
    ],
)
def test_each_statement_without_an_answer_has_the_cause(answer: Any, seconds: float, cause: str) -> None:
    client = Client(answer)
    assert client.batches.execute(STATEMENTS, client.soon(seconds)) == [StatementAnswer("NoAnswer", cause)] * 2


def test_a_statement_error_may_have_no_message_and_no_code() -> None:
    client = Client({"Responses": [{"Error": {"Code": "TransactionConflict"}}, {"Error": {"Message": "?"}}]})
    answers = [StatementAnswer("TransactionConflict", ""), StatementAnswer("Unknown", "?")]
    assert client.batches.execute(STATEMENTS, client.soon()) == answers
    assert client.throttled == []


# --- the size of an answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("megabytes", "throttled"), [(15.0, [1]), (15.9, [])])
def test_a_full_answer_is_not_throttling(megabytes: float, throttled: list[int]) -> None:
    """An answer has at most 16 MB. The size of an item is that of all texts in it, however deep."""
    text = {"S": "é" * int(megabytes * 1024 * 512)}
    large = {"pk": {"S": "p"}, "sk": {"S": "s"}, "list": {"L": [{"M": {"text": text}}]}}
    left = {"UnprocessedKeys": {"guard": {"Keys": [{"pk": {"S": "p"}, "sk": {"S": "2"}}]}}}
    client = Client({"Responses": {"guard": [large]}, **left}, {"Responses": {"guard": []}})
    assert client.batches.get([KEY, ItemKey("p", "2")], client.soon()).keys() == {KEY}
    assert client.throttled == throttled
