"""The two shapes in which events arrive, and the response to each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_fn.application import (
    batch_response,
    deliveries_of_batch,
    delivery_of_event,
    event_response,
    given_up,
    is_queue_batch,
)
from lambda_fn.errors import SaleNotCommitted
from lambda_fn.ports import Reason, Rejection
from lambda_fn.process_deliveries import Outcome, Result
from tests.builders import body, event, sale

NOW = 1_773_568_801.25
REJECTION = Rejection(Reason.INVALID_FIELD, "detail.brand: Field required")


def record(message_id: str, text: str, **changes: object) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": "handle",
        "body": text,
        "attributes": {"SentTimestamp": "1773568801250", "ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:carousel-sync-dev",
        "awsRegion": "eu-west-1",
        **changes,
    }


def test_an_sqs_batch_is_a_queue_delivery() -> None:
    assert is_queue_batch({"Records": [record("1", body()), record("2", "{")]})
    assert is_queue_batch({"Records": []})


@pytest.mark.parametrize(
    "event",
    [
        None,
        1,
        "Records",
        [],
        [record("1", "{}")],
        {},
        event(),
        {"Records": None},
        {"Records": "x"},
        {"Records": {}},
        {"Records": [1]},
        {"Records": [{}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": body()}}]},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [record("1", body()), {"eventSource": "aws:kinesis"}]},
    ],
)
def test_any_other_event_is_a_direct_delivery(event: object) -> None:
    assert not is_queue_batch(event)


def test_each_message_of_a_batch_is_a_delivery() -> None:
    text = "\t" + body(brand="Hermès") + " "
    first, second = deliveries_of_batch({"Records": [record("a", text), record("b", "{")]})
    assert (first.delivery_id, first.body, first.first_seen) == ("a", text, "2026-03-15T10:00:01.250Z")
    assert first.content == sale(brand="Hermès")
    assert (second.delivery_id, second.body) == ("b", "{")
    assert isinstance(second.content, Rejection)


@pytest.mark.parametrize("attributes", [{}, None, {"SentTimestamp": ""}, {"SentTimestamp": "yesterday"}])
def test_a_message_without_a_timestamp_has_no_first_seen(attributes: object) -> None:
    (delivery,) = deliveries_of_batch({"Records": [record("a", body(), attributes=attributes)]})
    assert delivery.first_seen == ""
    assert delivery.content == sale()


def attribute(text: object) -> dict[str, Any]:
    return {"firstSeen": {"stringValue": text, "stringListValues": [], "binaryListValues": [], "dataType": "String"}}


@pytest.mark.parametrize("text", ["2025-12-24T18:00:00.000Z", "2025-12-24T18:00:00Z"])
def test_an_event_from_the_dead_letter_queue_keeps_its_first_instant(text: str) -> None:
    (delivery,) = deliveries_of_batch({"Records": [record("a", body(), messageAttributes=attribute(text))]})
    assert delivery.first_seen == text


@pytest.mark.parametrize("text", ["yesterday", "", None, 7, "2025-12-24T18:00:00.000Z\x1b[31m", "٢٠٢٥-12-24T18:00:00Z"])
@pytest.mark.parametrize("whole", [False, True])
def test_an_attribute_that_is_no_instant_is_ignored(text: object, whole: bool) -> None:
    attributes: Any = {"firstSeen": None} if whole else attribute(text)
    (delivery,) = deliveries_of_batch({"Records": [record("a", body(), messageAttributes=attributes)]})
    assert delivery.first_seen == "2026-03-15T10:00:01.250Z"


def test_messages_given_back_at_their_last_delivery_are_given_up() -> None:
    def delivered(message_id: str, times: object) -> dict[str, Any]:
        return record(message_id, body(), attributes={"ApproximateReceiveCount": times})

    records = [delivered("a", "49"), delivered("b", "50"), delivered("c", "51"), delivered("d", "50"), record("e", "")]
    assert given_up(records, {"a", "b", "c", "e"}, 50) == 2
    assert given_up([record("a", "", attributes=None)], {"a"}, 1) == 1


def test_the_body_of_a_direct_delivery_is_json() -> None:
    document = event(brand="Hermès", description="a\ud800b\x00", embedding=[0.5])
    delivery = delivery_of_event(document, NOW)
    assert json.loads(delivery.body) == document
    assert delivery.body.isascii(), "a lone surrogate must be escaped"
    assert delivery.first_seen == "2026-03-15T10:00:01.250Z"


def test_the_body_of_a_direct_delivery_is_compact() -> None:
    document = event(description="é" * 10_000, embedding=[0.5, 0.25])
    body = delivery_of_event(document, NOW).body
    assert json.loads(body) == document
    assert len(body.encode()) == len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


@pytest.mark.parametrize("character", ["\ud800", "\ufffe", "\uffff"])
def test_a_character_that_is_not_allowed_in_a_message_is_escaped(character: str) -> None:
    body = delivery_of_event(event(description=character), NOW).body
    assert body.isascii()
    assert json.loads(body)["detail"]["description"] == character


@pytest.mark.parametrize("document", [None, 1, "x", [], [1], {}, {"Records": 1}, {"warmup": True}])
def test_a_direct_delivery_that_is_no_sale_is_rejected(document: object) -> None:
    delivery = delivery_of_event(document, NOW)
    assert isinstance(delivery.content, Rejection)
    assert delivery.content.reason is Reason.NOT_A_SALE
    assert json.loads(delivery.body) == document


def test_the_batch_response_lists_the_messages_given_back() -> None:
    response = batch_response({"back-2", "back-1"})
    assert response == {"batchItemFailures": [{"itemIdentifier": "back-1"}, {"itemIdentifier": "back-2"}]}
    assert batch_response(set()) == {"batchItemFailures": []}


def test_the_response_to_a_direct_delivery() -> None:
    assert event_response(Result(Outcome.COMMITTED)) == {"statusCode": 200, "body": "Event processed successfully"}
    assert event_response(Result(Outcome.DUPLICATE)) == {"statusCode": 200, "body": "Duplicate event - skipped"}
    rejected = event_response(Result(Outcome.REJECTED, REJECTION))
    assert rejected["statusCode"] == 422
    assert json.loads(rejected["body"]) == {"reason": "INVALID_FIELD", "detail": "detail.brand: Field required"}


@pytest.mark.parametrize("rejection", [None, REJECTION])
def test_a_direct_delivery_that_is_given_back_raises(rejection: Rejection | None) -> None:
    with pytest.raises(SaleNotCommitted, match="delivered again: no time"):
        event_response(Result(Outcome.GIVEN_BACK, rejection, "no time"))
