"""The two ways in which events arrive, and the answers that each of them expects.

Queue delivery: an SQS batch whose bodies are EventBridge events, answered with a partial batch response (AWS Lambda
Developer Guide, "Handling errors for an SQS event source"). Direct delivery: one EventBridge event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from lambda_fn.errors import SaleNotCommitted
from lambda_fn.event import parse_event, parse_message
from lambda_fn.ports import Delivery
from lambda_fn.process_deliveries import Outcome, Result

DIRECT_DELIVERY_ID: Final = "direct"

# Amazon SQS API Reference, SendMessage: characters that a message may not hold (JSON escapes control characters).
_NOT_IN_A_MESSAGE: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")


def is_queue_batch(event: object) -> bool:
    """Whether the event is a batch of SQS messages."""
    records = event.get("Records") if isinstance(event, dict) else None
    return isinstance(records, list) and all(
        isinstance(record, dict) and record.get("eventSource") == "aws:sqs" for record in records
    )


def deliveries_of_batch(event: Mapping[str, Any]) -> list[Delivery]:
    """Read each message of an SQS batch."""
    return [parse_message(record["messageId"], record["body"], _first_seen(record)) for record in event["Records"]]


def delivery_of_event(event: object, now: float) -> Delivery:
    """Read one EventBridge event, which the Lambda service has decoded already."""
    return parse_event(DIRECT_DELIVERY_ID, event, _json_text(event), _iso_milliseconds(now))


def batch_answer(given_back: Collection[str]) -> dict[str, Any]:
    """Return the partial batch response: only what has to come back."""
    return {"batchItemFailures": [{"itemIdentifier": delivery_id} for delivery_id in sorted(given_back)]}


def event_answer(result: Result) -> dict[str, Any]:
    """Return the answer for one event. Raises SaleNotCommitted when it has to be delivered again."""
    if result.outcome is Outcome.GIVEN_BACK:
        raise SaleNotCommitted(f"The event was not processed and has to be delivered again: {result.cause}")
    if result.rejection is not None:
        body = {"reason": result.rejection.reason.value, "detail": result.rejection.detail}
        return {"statusCode": 422, "body": json.dumps(body)}
    if result.outcome is Outcome.DUPLICATE:
        return {"statusCode": 200, "body": "Duplicate event - skipped"}
    return {"statusCode": 200, "body": "Event processed successfully"}


def _first_seen(record: Mapping[str, Any]) -> str:
    attributes: Mapping[str, str] = record.get("attributes") or {}
    sent_milliseconds = attributes.get("SentTimestamp", "")
    return _iso_milliseconds(int(sent_milliseconds) / 1000) if sent_milliseconds.isdecimal() else ""


def _json_text(event: object) -> str:
    """Write an event as compactly as its producer may have: a rejected one has to fit into a message again."""
    text = json.dumps(event, default=str, separators=(",", ":"), ensure_ascii=False)
    if _NOT_IN_A_MESSAGE.search(text):
        return json.dumps(event, default=str, separators=(",", ":"))
    return text


def _iso_milliseconds(epoch_seconds: float) -> str:
    instant = datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")
    return instant.replace("+00:00", "Z")
