"""The stack's queues as an operator sees them: the buffer queue running empty, and what is in the dead-letter queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from lambda_fn.errors import ConfigurationError
from lambda_fn.retry import Clock, Deadline, SystemClock
from ops.local_stack import deployment
from ops.target import Target

POLL_SECONDS: Final = 0.5
# SQS's counts are approximate: one look that finds nothing proves nothing.
EMPTY_LOOKS: Final = 2

# While a queue is looked through, what was seen is hidden; it is shown again at the end, or when this has passed.
HIDDEN_SECONDS: Final = 60
RECEIVE_LIMIT: Final = 10
NO_REASON: Final = "(no reason given)"


@dataclass(frozen=True)
class QueueDepth:
    """Messages that wait, and messages that the function works on or will get again later."""

    waiting: int
    in_flight: int

    @property
    def empty(self) -> bool:
        """Whether neither is left."""
        return not self.waiting and not self.in_flight


def buffer_queue_url(target: Target) -> str:
    """Return the queue between the event bus and the function. Raises ConfigurationError when there is no stack."""
    description = deployment.describe(target)
    url = deployment.outputs(description).get("BufferQueueUrl") if description else None
    if url is None:
        raise ConfigurationError(f"The stack at {target} has no buffer queue. Deploy template.yaml first.")
    return url


def depth(target: Target, url: str) -> QueueDepth:
    """Ask SQS how many messages there are, approximately."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return QueueDepth(*(int(answer["Attributes"][name]) for name in names))


def wait_until_empty(
    target: Target,
    url: str,
    bound_seconds: float,
    looked: Callable[[QueueDepth], None] = lambda _: None,
    clock: Clock | None = None,
) -> bool:
    """Wait until the queue is empty, and return whether it is; False when it is not within the bound.

    ``looked`` is called with what each look found.
    """
    clock = clock or SystemClock()
    deadline = Deadline.after(clock, bound_seconds)
    empty_looks = 0
    while True:
        found = depth(target, url)
        looked(found)
        empty_looks = empty_looks + 1 if found.empty else 0
        if empty_looks == EMPTY_LOOKS:
            return True
        if not deadline.allows(POLL_SECONDS):
            return False
        clock.sleep(POLL_SECONDS)


def dead_letters_by_reason(target: Target) -> Counter[tuple[str, str]]:
    """Count the dead letters by reason and detail. The queue keeps all of them.

    While it looks, they are hidden from other readers, for a minute at most should it be interrupted.
    """
    client, url = target.client("sqs"), target.settings.dead_letter_queue_url
    seen: dict[str, str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    try:
        for message in _received(client, url):
            attributes = message.get("MessageAttributes", {})
            reason = attributes.get("reason", {}).get("StringValue", NO_REASON)
            detail = attributes.get("detail", {}).get("StringValue", "")
            if message["MessageId"] not in seen:
                counts[reason, detail] += 1
            seen[message["MessageId"]] = message["ReceiptHandle"]
    finally:
        _show_again(client, url, list(seen.values()))
    return counts


def _received(client: Any, url: str) -> Iterator[dict[str, Any]]:
    while True:
        answer = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=RECEIVE_LIMIT,
            VisibilityTimeout=HIDDEN_SECONDS,
            MessageAttributeNames=["All"],
            WaitTimeSeconds=1,
        )
        if not answer.get("Messages"):
            return
        yield from answer["Messages"]


def _show_again(client: Any, url: str, receipt_handles: list[str]) -> None:
    for start in range(0, len(receipt_handles), RECEIVE_LIMIT):
        entries = [
            {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for number, handle in enumerate(receipt_handles[start : start + RECEIVE_LIMIT])
        ]
        client.change_message_visibility_batch(QueueUrl=url, Entries=entries)
