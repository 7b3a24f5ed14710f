"""An event in, an answer out: which shape of event arrived, and the answer that its sender expects.

Queue delivery: an SQS batch whose bodies are EventBridge events, answered with a partial batch response (AWS Lambda
Developer Guide, "Handling errors for an SQS event source"). Direct delivery: one EventBridge event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from lambda_fn.errors import CarouselSyncError, SaleNotCommitted
from lambda_fn.event import parse_event, parse_message
from lambda_fn.ports import Delivery
from lambda_fn.process_deliveries import Outcome, ProcessDeliveries, Result
from lambda_fn.redelivery import SQSRedelivery
from lambda_fn.runtime.retry import Clock, Deadline
from lambda_fn.telemetry import PowertoolsTelemetry

DIRECT_DELIVERY_ID: Final = "direct"
# Time kept at the end of an invocation to log, to write the metrics, and to answer.
ANSWER_SECONDS: Final = 2.0
SECONDS_WITHOUT_CONTEXT: Final = 60.0

# Amazon SQS API Reference, SendMessage: characters that a message may not hold (JSON escapes control characters).
_NOT_IN_A_MESSAGE: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")


class LambdaContext(Protocol):
    """What is used of the Lambda context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the service ends the invocation."""
        ...


@dataclass(frozen=True)
class Application:
    """Events in, answers out."""

    process: ProcessDeliveries
    redelivery: SQSRedelivery
    telemetry: PowertoolsTelemetry
    clock: Clock

    def handle(self, event: Any, context: LambdaContext | None) -> dict[str, Any]:
        """Process an SQS batch or one EventBridge event. Raises only for what a retry can mend."""
        request_id = context.aws_request_id if context else "local"
        seconds = context.get_remaining_time_in_millis() / 1000 if context else SECONDS_WITHOUT_CONTEXT
        deadline = Deadline.after(self.clock, seconds - ANSWER_SECONDS)
        self.telemetry.start(request_id)
        try:
            if is_queue_batch(event):
                return self._handle_batch(event, request_id, deadline)
            delivery = delivery_of_event(event, self.clock.now())
            results = self.process.process([delivery], request_id, deadline)
            return event_answer(results[delivery.delivery_id])
        except CarouselSyncError as error:
            self.telemetry.failure(error)
            raise
        finally:
            self.telemetry.flush()

    def _handle_batch(self, event: Any, request_id: str, deadline: Deadline) -> dict[str, Any]:
        results = self.process.process(deliveries_of_batch(event), request_id, deadline)
        given_back = {message for message, result in results.items() if result.outcome is Outcome.GIVEN_BACK}
        self.redelivery.schedule(event["Records"], given_back, deadline)
        return batch_answer(given_back)


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
