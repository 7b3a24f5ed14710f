"""Waiting until the sales that were sent are stored, with either delivery mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from more_itertools import chunked

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.buffer_queue import POLL_SECONDS, QueueDepth
from carousel_sync.aws.target import Target
from carousel_sync.events.generate import GeneratedEvent, Role
from lambda_fn.aws.batch_requests import GET_LIMIT, ItemKey
from lambda_fn.event import parse_event
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.guard.items import Status, guard_key
from lambda_fn.runtime.retry import Clock, Deadline, SystemClock
from lambda_fn.sale import Sale, SaleKey


@dataclass(frozen=True)
class Arrived:
    """How far the events have come: how many of the sales are stored, and what is in the buffer queue.

    ``complete``: every sale is stored, and the queue is empty. ``seconds`` is the time waited so far.
    """

    stored: int
    sales: int
    queue: QueueDepth
    seconds: float
    complete: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        queue = {"waiting": self.queue.waiting, "in_flight": self.queue.in_flight}
        return {**asdict(self), "queue": queue, "seconds": round(self.seconds, 1)}


def keys_of(events: Iterable[GeneratedEvent]) -> list[SaleKey]:
    """Return the keys of the sales among generated events; duplicates and invalid events have none."""
    contents = [parse_event("", event.envelope, "", "").content for event in events if event.role is Role.SALE]
    return [content.key for content in contents if isinstance(content, Sale)]


class Arrival:
    """Waits for sales at a deployed stage. Raises ConfigurationError when the stage is not deployed."""

    def __init__(self, target: Target, clock: Clock | None = None) -> None:
        self._target = target
        self._clock = clock or SystemClock()
        self._queue_url = buffer_queue.buffer_queue_url(target)
        self._guard = guard_table(target.settings.guard_table)

    def wait(
        self, sales: Iterable[SaleKey], timeout_seconds: float, on_poll: Callable[[Arrived], None] = lambda _: None
    ) -> Arrived:
        """Wait until each sale has its row and its look-up item, and the buffer queue is empty.

        The guard tells: the function completes a sale's claim only after it has written both. (The guard forgets a
        completed sale after a day.) Events that repeat a sale or are rejected leave no trace there. With queue
        delivery, the empty queue tells that they are processed, too; with direct delivery, nothing does.

        Returns what it found last, which is not ``complete`` if the time ran out. ``on_poll`` receives the result of
        each poll. Raises botocore's errors.
        """
        started = self._clock.monotonic()
        deadline = Deadline.after(self._clock, timeout_seconds)
        pending = [guard_key(key) for key in dict.fromkeys(sales)]
        number = len(pending)

        def found(depth: QueueDepth, *, complete: bool = False) -> Arrived:
            return Arrived(number - len(pending), number, depth, self._clock.monotonic() - started, complete)

        while pending := self._still_open(pending):
            last = found(buffer_queue.depth(self._target, self._queue_url))
            on_poll(last)
            if not deadline.allows(POLL_SECONDS):
                return last
            self._clock.sleep(POLL_SECONDS)
        empty = buffer_queue.wait_until_empty(
            self._target,
            self._queue_url,
            deadline.remaining_seconds(),
            lambda depth: on_poll(found(depth)),
            self._clock,
        )
        return found(buffer_queue.depth(self._target, self._queue_url), complete=empty)

    def _still_open(self, keys: Sequence[ItemKey]) -> list[ItemKey]:
        """Return the keys without those of sales that are stored.

        Sales are stored about in the order in which they were sent. The rest is not read once there are many in a row
        that are not stored.
        """
        left: list[ItemKey] = []
        chunks: Iterator[list[ItemKey]] = chunked(keys, GET_LIMIT)
        for chunk in chunks:
            stored = self._completed(chunk)
            left += [key for key in chunk if key not in stored]
            if not stored:
                break
        return left + [key for chunk in chunks for key in chunk]

    def _completed(self, keys: Sequence[ItemKey]) -> set[ItemKey]:
        name = self._guard.name
        request = {"Keys": [self._guard.key_attributes(key) for key in keys], "ConsistentRead": True}
        answer = self._target.client("dynamodb").batch_get_item(RequestItems={name: request})
        # Keys that DynamoDB did not process count as open, and are read again.
        return {
            self._guard.key_of(item)
            for item in answer["Responses"].get(name, [])
            if item.get("status") == {"S": Status.COMPLETED.value}
        }
