"""The queue between the event bus and the function, and waiting until it is empty; the depth of any queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import Target
from lambda_fn.errors import ConfigurationError
from lambda_fn.runtime.retry import Clock, Deadline, SystemClock

POLL_SECONDS: Final = 0.5
# SQS's counts are approximate: a single count of zero proves nothing.
EMPTY_READINGS: Final = 2


class QueueDepth(NamedTuple):
    """Approximate numbers of messages that are waiting, and in flight: received, and neither deleted nor returned yet.

    ``read_at`` is in epoch seconds of SQS's clock.
    """

    waiting: int
    in_flight: int
    read_at: float


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
    waiting, in_flight = (int(response["Attributes"][name]) for name in names)
    date = response["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    return QueueDepth(waiting, in_flight, parsedate_to_datetime(date).timestamp() if date else time.time())


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
        empty_readings = 0 if found.waiting or found.in_flight else empty_readings + 1
        if empty_readings == EMPTY_READINGS:
            return True
        if not deadline.allows(POLL_SECONDS):
            return False
        clock.sleep(POLL_SECONDS)
