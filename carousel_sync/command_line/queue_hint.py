"""A hint for results that may be incomplete: events are still in the stage's queue."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import stderr
from lambda_fn.errors import CarouselSyncError


def show_waiting_events(target: Target) -> None:
    """Say on standard error how many events are in the buffer queue of the stage, unless it is empty.

    Says nothing when the queue can't be read: readers of the table may lack the rights, and need the result all the
    same. With direct delivery, events do not pass through the queue.
    """
    try:
        found = buffer_queue.depth(target, buffer_queue.buffer_queue_url(target))
    except (CarouselSyncError, BotoCoreError, ClientError):
        return
    if found.waiting or found.in_flight:
        stderr.print(
            f"Events are still in the queue of stage {target.stage}: about {found.waiting} are waiting, and "
            f"{found.in_flight} are being processed or will be delivered again. Their sales may be missing here. Run "
            "the command again when the queue is empty.",
            soft_wrap=True,
            style="yellow",
        )
