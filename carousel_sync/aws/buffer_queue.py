"""The queue between the event bus and the function: its depth, and waiting until it is empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import Target
from lambda_fn.errors import ConfigurationError
from lambda_fn.runtime.retry import Clock, Deadline, SystemClock

POLL_SECONDS: Final = 0.5
# SQS's counts are approximate: a single count of zero proves nothing.
EMPTY_READINGS: Final = 2


@dataclass(frozen=True)
class QueueDepth:
    """How many messages are waiting, and how many are in flight: received, and neither deleted nor returned yet."""

    waiting: int
    in_flight: int

    @property
    def empty(self) -> bool:
        """Whether there are no messages of either sort."""
        return not self.waiting and not self.in_flight


def buffer_queue_url(target: Target) -> str:
    """Return the URL of the stage's buffer queue.

    Raises ConfigurationError when the stack does not exist or has no buffer queue.
    """
    url = cloudformation.outputs(cloudformation.describe(target)).get("BufferQueueUrl")
    if url is None:
        raise ConfigurationError(
            f"Stage {target.stage!r} has no buffer queue at {target}. Nothing was changed. Check --stage and the "
            "region (AWS_REGION), and deploy template.yaml if the stage is new."
        )
    return url


def depth(target: Target, url: str) -> QueueDepth:
    """Return the approximate number of messages in a queue."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    response = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return QueueDepth(*(int(response["Attributes"][name]) for name in names))


def wait_until_empty(
    target: Target,
    url: str,
    timeout_seconds: float,
    on_poll: Callable[[QueueDepth], None] = lambda _: None,
    clock: Clock | None = None,
) -> bool:
    """Wait until the queue is empty. Returns False when it is not empty in time.

    ``on_poll`` is called with the result of each poll.
    """
    clock = clock or SystemClock()
    deadline = Deadline.after(clock, timeout_seconds)
    empty_readings = 0
    while True:
        found = depth(target, url)
        on_poll(found)
        empty_readings = empty_readings + 1 if found.empty else 0
        if empty_readings == EMPTY_READINGS:
            return True
        if not deadline.allows(POLL_SECONDS):
            return False
        clock.sleep(POLL_SECONDS)
