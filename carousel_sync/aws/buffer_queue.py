"""The buffer queue as an operator sees it: how full it is, and waiting until it is empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from carousel_sync.aws.target import Target
from carousel_sync.local_stack import deployment
from lambda_fn.errors import ConfigurationError
from lambda_fn.runtime.retry import Clock, Deadline, SystemClock

POLL_SECONDS: Final = 0.5
# SQS's counts are approximate: one look that finds nothing proves nothing.
EMPTY_LOOKS: Final = 2


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
