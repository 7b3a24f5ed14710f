"""An event in, a response out: which shape of event arrived, and the response that its sender expects.

Queue delivery is an SQS batch whose bodies are EventBridge events. Its response is a partial batch response (AWS Lambda
Developer Guide, "Handling errors for an SQS event source in Lambda"). Direct delivery is one EventBridge event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from lambda_fn.errors import CarouselSyncError, SaleNotCommitted
from lambda_fn.event import parse_event, parse_message
from lambda_fn.ports import FIRST_SEEN, Delivery, Metric
from lambda_fn.process_deliveries import Outcome, ProcessDeliveries, Result
from lambda_fn.redelivery import SQSRedelivery, deliveries
from lambda_fn.runtime.retry import Clock, Deadline
from lambda_fn.telemetry import PowertoolsTelemetry

DIRECT_DELIVERY_ID: Final = "direct"
# Reserved at the end of an invocation to write the logs, the metrics and the response.
ANSWER_SECONDS: Final = 2.0
SECONDS_WITHOUT_CONTEXT: Final = 60.0

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
# Characters that a message must not contain (Amazon SQS API Reference, SendMessage). JSON escapes control characters.
_NOT_IN_A_MESSAGE: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")


class LambdaContext(Protocol):
    """The part of the Lambda context object that the function uses."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the service ends the invocation."""
        ...


@dataclass(frozen=True)
class Application:
    """Handles the events of a process, one invocation at a time."""

    process: ProcessDeliveries
    redelivery: SQSRedelivery
    telemetry: PowertoolsTelemetry
    clock: Clock
    max_receive_count: int

    def handle(self, event: Any, context: LambdaContext | None) -> dict[str, Any]:
        """Process an SQS batch or one EventBridge event, and return the response.

        Raises CarouselSyncError, and only for what a retry can fix.
        """
        request_id = context.aws_request_id if context else "local"
        seconds = context.get_remaining_time_in_millis() / 1000 if context else SECONDS_WITHOUT_CONTEXT
        deadline = Deadline.after(self.clock, seconds - ANSWER_SECONDS)
        self.telemetry.start(request_id)
        try:
            if is_queue_batch(event):
                return self._handle_batch(event, request_id, deadline)
            delivery = delivery_of_event(event, self.clock.now())
            results = self.process.process([delivery], request_id, deadline)
            return event_response(results[delivery.delivery_id])
        except CarouselSyncError as error:
            self.telemetry.failure(error)
            raise
        finally:
            self.telemetry.flush()

    def _handle_batch(self, event: Any, request_id: str, deadline: Deadline) -> dict[str, Any]:
        results = self.process.process(deliveries_of_batch(event), request_id, deadline)
        given_back = {message for message, result in results.items() if result.outcome is Outcome.GIVEN_BACK}
        self.telemetry.measure(Metric.GIVEN_UP, given_up(event["Records"], given_back, self.max_receive_count))
        self.redelivery.schedule(event["Records"], given_back, deadline)
        return batch_response(given_back)


def is_queue_batch(event: object) -> bool:
    """Return whether the event is a batch of SQS messages."""
    records = event.get("Records") if isinstance(event, dict) else None
    return isinstance(records, list) and all(
        isinstance(record, dict) and record.get("eventSource") == "aws:sqs" for record in records
    )


def deliveries_of_batch(event: Mapping[str, Any]) -> list[Delivery]:
    """Return a delivery for each message of an SQS batch."""
    return [parse_message(record["messageId"], record["body"], _first_seen(record)) for record in event["Records"]]


def delivery_of_event(event: object, now: float) -> Delivery:
    """Return the delivery of one EventBridge event, as decoded by the Lambda service. ``now`` is in epoch seconds."""
    return parse_event(DIRECT_DELIVERY_ID, event, _json_text(event), _iso_milliseconds(now))


def given_up(records: Sequence[Mapping[str, Any]], given_back: Collection[str], max_receive_count: int) -> int:
    """Return how many of the messages given back were delivered for the last time: SQS makes them dead letters."""
    return sum(record["messageId"] in given_back and deliveries(record) >= max_receive_count for record in records)


def batch_response(given_back: Collection[str]) -> dict[str, Any]:
    """Return the partial batch response, which lists the messages that have to be delivered again."""
    return {"batchItemFailures": [{"itemIdentifier": delivery_id} for delivery_id in sorted(given_back)]}


def event_response(result: Result) -> dict[str, Any]:
    """Return the response to one event. Raises SaleNotCommitted if the event has to be delivered again."""
    if result.outcome is Outcome.GIVEN_BACK:
        raise SaleNotCommitted(f"The event was not processed and has to be delivered again: {result.cause}")
    if result.rejection is not None:
        body = {"reason": result.rejection.reason.value, "detail": result.rejection.detail}
        return {"statusCode": 422, "body": json.dumps(body)}
    if result.outcome is Outcome.DUPLICATE:
        return {"statusCode": 200, "body": "Duplicate event - skipped"}
    return {"statusCode": 200, "body": "Event processed successfully"}


def _first_seen(record: Mapping[str, Any]) -> str:
    carried_on = ((record.get("messageAttributes") or {}).get(FIRST_SEEN) or {}).get("stringValue")
    if isinstance(carried_on, str) and _INSTANT.fullmatch(carried_on):
        return carried_on
    attributes: Mapping[str, str] = record.get("attributes") or {}
    sent_milliseconds = attributes.get("SentTimestamp", "")
    return _iso_milliseconds(int(sent_milliseconds) / 1000) if sent_milliseconds.isdecimal() else ""


def _json_text(event: object) -> str:
    """Return an event as compact JSON: a rejected event has to fit into a queue message."""
    text = json.dumps(event, default=str, separators=(",", ":"), ensure_ascii=False)
    if _NOT_IN_A_MESSAGE.search(text):
        return json.dumps(event, default=str, separators=(",", ":"))
    return text


def _iso_milliseconds(epoch_seconds: float) -> str:
    instant = datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")
    return instant.replace("+00:00", "Z")
