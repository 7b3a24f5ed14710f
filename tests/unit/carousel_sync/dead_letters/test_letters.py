"""The reason, detail and event of a dead letter, by its origin."""

from __future__ import annotations

import json

import pytest

from carousel_sync.dead_letters.letters import Letter
from carousel_sync.events.json_text import member_as_written
from tests.builders import body

ENVELOPE = {
    "version": "1.0",
    "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
    "requestPayload": "HERE",
    "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
    "responsePayload": {"errorType": "SaleNotCommitted", "errorMessage": "no catalog"},
}


def letter(text: str = "{}", system: dict[str, str] | None = None, **attributes: str) -> Letter:
    return Letter("id", "handle", text, attributes, {"SentTimestamp": "1800000000000", **(system or {})})


def wrapped(event_text: str) -> str:
    return json.dumps(ENVELOPE).replace('"HERE"', event_text)


def test_a_rejected_event_has_the_reason_of_its_attributes() -> None:
    found = letter(body(), reason="INVALID_FIELD", detail="detail.brand: missing", firstSeen="2026-01-01T00:00:00.000Z")
    assert (found.reason, found.detail) == ("INVALID_FIELD", "detail.brand: missing")
    assert found.first_seen == "2026-01-01T00:00:00.000Z"
    assert found.event == body()


def test_a_message_moved_by_sqs() -> None:
    found = letter(body(), system={"DeadLetterQueueSourceArn": "arn:aws:sqs:eu-west-1:1:carousel-sync-dev"})
    assert found.reason == "GAVE_UP"
    assert found.first_seen == "2027-01-15T08:00:00.000Z"


def test_an_event_that_the_bus_could_not_deliver() -> None:
    found = letter(body(), RULE_ARN="arn", ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="not allowed")
    assert (found.reason, found.detail) == ("NOT_DELIVERED", "NO_PERMISSIONS: not allowed")
    assert found.event == body()


def test_an_event_that_the_lambda_service_gave_up_on() -> None:
    found = letter(wrapped(body()))
    assert (found.reason, found.detail) == ("FUNCTION_FAILED", "RetriesExhausted: SaleNotCommitted: no catalog")
    assert found.event == body()


def test_the_numbers_of_an_event_in_an_envelope_keep_their_text() -> None:
    text = '{"detail": {"salePrice": 12345678901234.5670, "big": 1e400, "x": "\\ud800", "a" :[1 , 2.50]}}'
    assert letter(wrapped(text)).event == text


def test_an_envelope_without_an_event() -> None:
    text = json.dumps({name: value for name, value in ENVELOPE.items() if name != "requestPayload"})
    assert (letter(text).reason, letter(text).event) == ("FUNCTION_FAILED", None)


@pytest.mark.parametrize("text", ['{"requestContext": ', '["requestContext"]', body(note="requestContext"), "text"])
def test_a_body_that_only_resembles_an_envelope(text: str) -> None:
    found = letter(text)
    assert (found.reason, found.event) == ("NO_REASON", text)


def test_the_text_of_a_member() -> None:
    assert member_as_written('{"a": 1}', "b") is None
    assert member_as_written(' { "a" : 1 , "a" : 2.0 } ', "a") == "2.0"
