"""Reading the dead-letter queue.

SQS can be read only by receiving messages, which hides them from other readers. At the end of a scan its messages are
made visible again. If that fails, they become visible by themselves after HIDDEN_SECONDS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import chunked

from carousel_sync.aws.buffer_queue import depth
from carousel_sync.aws.target import Target
from carousel_sync.dead_letters.letters import Letter, letter_of
from lambda_fn.errors import CarouselSyncError

HIDDEN_SECONDS: Final = 300
# Amazon SQS Developer Guide, "Message quotas": messages per request.
BATCH_LIMIT: Final = 10
# Only long polling queries all of SQS's servers, and a single empty response proves nothing.
WAIT_SECONDS: Final = 1
EMPTY_RESPONSES: Final = 2


class LetterNotFound(CarouselSyncError):
    """No visible letter has this id."""


class Scan:
    """A scan of the queue, see :func:`scanning`. ``complete`` is True once every letter has been seen."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url
        self._receipts: dict[str, str] = {}
        self.complete = False

    def batches(self, limit: Callable[[], int] = lambda: BATCH_LIMIT) -> Iterator[list[Letter]]:
        """Yield every letter once, in batches of up to ``limit()`` letters.

        Ends when no more letters are visible, when ``limit()`` is 0, or when the first letters are about to become
        visible again.
        """
        end = time.monotonic() + HIDDEN_SECONDS
        seen: set[str] = set()
        empty = 0
        while empty < EMPTY_RESPONSES:
            number = min(limit(), BATCH_LIMIT)
            if number <= 0 or time.monotonic() >= end:
                return
            letters = self._receive(number)
            new = [letter for letter in letters if letter.message_id not in seen]
            seen.update(letter.message_id for letter in new)
            empty = 0 if letters else empty + 1
            if new:
                yield new
        self.complete = True

    def delete(self, letters: Sequence[Letter]) -> set[str]:
        """Delete letters, with one retry, and return the ids of those that are certainly deleted."""
        deleted: set[str] = set()
        for _ in range(2):
            pending = [letter for letter in letters if letter.message_id not in deleted]
            for batch in chunked(pending, BATCH_LIMIT):
                deleted.update(self._delete_once(batch))
        for message_id in deleted:
            self._receipts.pop(message_id, None)
        return deleted

    def release(self) -> None:
        """Make the remaining letters visible again. A failure is ignored: they become visible by themselves, later."""
        receipts = list(self._receipts.values())
        self._receipts.clear()
        for batch in chunked(receipts, BATCH_LIMIT):
            entries = [{**entry, "VisibilityTimeout": 0} for entry in _entries(batch)]
            with suppress(ClientError, BotoCoreError):
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def _receive(self, number: int) -> list[Letter]:
        response = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=number,
            VisibilityTimeout=HIDDEN_SECONDS,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
            WaitTimeSeconds=WAIT_SECONDS,
        )
        letters = [letter_of(message) for message in response.get("Messages", [])]
        self._receipts.update({letter.message_id: letter.receipt_handle for letter in letters})
        return letters

    def _delete_once(self, letters: Sequence[Letter]) -> set[str]:
        receipts = [self._receipts.get(letter.message_id, letter.receipt_handle) for letter in letters]
        try:
            response = self._client.delete_message_batch(QueueUrl=self._url, Entries=_entries(receipts))
        except (ClientError, BotoCoreError):
            return set()
        return {letters[int(entry["Id"])].message_id for entry in response.get("Successful", [])}


def _entries(receipts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]


@contextmanager
def scanning(target: Target) -> Iterator[Scan]:
    """Scan the target's dead-letter queue. At the end all its letters are visible again."""
    scan = Scan(target.client("sqs"), target.settings.dead_letter_queue_url)
    try:
        yield scan
    finally:
        scan.release()


def find(target: Target, message_id: str) -> Letter:
    """Return the letter with this id. Raises LetterNotFound."""
    hidden = depth(target, target.settings.dead_letter_queue_url).in_flight
    with scanning(target) as scan:
        for letter in chain.from_iterable(scan.batches()):
            if letter.message_id == message_id:
                return letter
    reader = f" {hidden} letters are hidden, because somebody else is reading the queue." if hidden else ""
    raise LetterNotFound(f"{not_found(message_id, target)}{reader}")


def not_found(message_id: str, target: Target) -> str:
    """Return a message for the operator: no visible letter has this id."""
    return (
        f"No visible dead letter has the id {message_id}. It may have been sent back, or deleted after the "
        f"retention period of 14 days. To list the ids: carousel-sync dlq list --json {target.flags}"
    )
