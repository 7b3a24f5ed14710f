"""Dead letters: where a message of the dead-letter queue comes from, its reason, and its event.

There are four origins:

* The function rejected the event. The message's attributes say why.
* The buffer queue delivered the event several times, and the function returned it every time.
* The event bus could not deliver the event (the dead-letter queue of the rule's target).
* The Lambda service gave up on an asynchronous invocation (direct delivery). It wraps the event in an envelope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from carousel_sync.events.json_text import member_as_written
from lambda_fn.ports import FIRST_SEEN, Reason

GAVE_UP: Final = "GAVE_UP"
NOT_DELIVERED: Final = "NOT_DELIVERED"
FUNCTION_FAILED: Final = "FUNCTION_FAILED"
NO_REASON: Final = "NO_REASON"
RETRY_HELPS: Final = frozenset({GAVE_UP, NOT_DELIVERED, FUNCTION_FAILED})
"""The reasons that are not about the event: sent again, it can be stored."""
REASONS: Final = frozenset({*Reason, GAVE_UP, NOT_DELIVERED, FUNCTION_FAILED, NO_REASON})
"""All reasons that this version knows."""


@dataclass(frozen=True)
class Letter:
    """A message of the dead-letter queue. ``attributes`` are the sender's, ``system`` those that SQS sets."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: Mapping[str, str]
    system: Mapping[str, str]

    @cached_property
    def _envelope(self) -> Mapping[str, Any] | None:
        """The Lambda service's envelope (Lambda Developer Guide, "Retaining records of asynchronous invocations")."""
        if '"requestContext"' not in self.body:
            return None
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(document, dict) or not isinstance(document.get("requestContext"), dict):
            return None
        return document if "responseContext" in document and "detail-type" not in document else None

    @property
    def reason(self) -> str:
        """The function's reason code, or one of this module's for the other origins."""
        if "reason" in self.attributes:
            return self.attributes["reason"]
        if "RULE_ARN" in self.attributes or "ERROR_CODE" in self.attributes:
            return NOT_DELIVERED
        if self._envelope:
            return FUNCTION_FAILED
        return GAVE_UP if "DeadLetterQueueSourceArn" in self.system else NO_REASON

    @property
    def detail(self) -> str:
        """A description of the reason."""
        if "detail" in self.attributes:
            return self.attributes["detail"]
        reason = self.reason
        if reason == NOT_DELIVERED:
            return _joined(self.attributes.get("ERROR_CODE"), self.attributes.get("ERROR_MESSAGE"))
        if reason == FUNCTION_FAILED:
            envelope = self._envelope or {}
            payload = envelope.get("responsePayload")
            failure = payload if isinstance(payload, dict) else {}
            condition = envelope["requestContext"].get("condition")
            return _joined(condition, failure.get("errorType"), failure.get("errorMessage"))
        if reason == GAVE_UP:
            return "the function returned the event at every delivery; the function's log has the cause"
        return "no attributes: the event is too large to carry them, or the message was sent by hand"

    @property
    def sent_at(self) -> float:
        """When the message was sent, in epoch seconds of SQS's clock.

        For a message that SQS moved here it is when the message was sent to the buffer queue.
        """
        return int(self.system.get("SentTimestamp", "0")) / 1000

    @property
    def first_seen(self) -> str:
        """When the event was first seen, in ISO 8601: the instant that a redrive carries on, or when it was sent."""
        sent = datetime.fromtimestamp(self.sent_at, UTC).isoformat(timespec="milliseconds")
        return self.attributes.get(FIRST_SEEN) or sent.replace("+00:00", "Z")

    @property
    def summary(self) -> dict[str, str]:
        """The letter without its body, for JSON."""
        return {"id": self.message_id, "reason": self.reason, "detail": self.detail, "first_seen": self.first_seen}

    @property
    def document(self) -> dict[str, Any]:
        """The complete letter, for JSON."""
        return {
            **self.summary,
            "attributes": dict(self.attributes),
            "system": dict(self.system),
            "body": self.body,
        }

    @property
    def event(self) -> str | None:
        """The original text of the event, or None when the envelope does not contain it."""
        return member_as_written(self.body, "requestPayload") if self._envelope else self.body


def letter_of(message: Mapping[str, Any]) -> Letter:
    """Convert a message of a ReceiveMessage response."""
    attributes = message.get("MessageAttributes", {})
    return Letter(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes={name: str(value.get("StringValue", "")) for name, value in attributes.items()},
        system=message.get("Attributes", {}),
    )


def _joined(*parts: object) -> str:
    return ": ".join(str(part) for part in parts if part)
