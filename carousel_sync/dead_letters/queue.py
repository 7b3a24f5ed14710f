"""Looking through the dead-letter queue, and sending events from it back to the buffer queue.

SQS can't be read without receiving: what is looked at is hidden from other readers for a while. Whatever happens, it
is made visible again at the end; should that fail too, it comes back by itself within HIDDEN_SECONDS.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import chunked, constrained_batches

from carousel_sync.aws.buffer_queue import buffer_queue_url
from carousel_sync.aws.target import Target
from carousel_sync.dead_letters.letters import Letter, letter_of

HIDDEN_SECONDS: Final = 300
# Amazon SQS Developer Guide, "Message quotas": messages a request, and bytes a request.
REQUEST_LIMIT: Final = 10
REQUEST_LIMIT_BYTES: Final = 1_048_576
# Only a request that waits asks all of SQS's servers; and one that finds nothing proves nothing.
WAIT_SECONDS: Final = 1
EMPTY_ANSWERS: Final = 2


class Look:
    """One look through the queue, see :func:`looking_through`. ``complete`` once everything in it has been seen."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url
        self._held: dict[str, str] = {}
        self.complete = False

    def groups(self, most: Callable[[], int] = lambda: REQUEST_LIMIT) -> Iterator[list[Letter]]:
        """Yield the letters, each of them once, as many at a time as a request takes and ``most`` allows.

        Ends when the queue has nothing more to show, when ``most`` says 0, or when what was looked at first is about
        to come back.
        """
        end = time.monotonic() + HIDDEN_SECONDS
        seen: set[str] = set()
        empty = 0
        while empty < EMPTY_ANSWERS:
            number = min(most(), REQUEST_LIMIT)
            if number <= 0 or time.monotonic() >= end:
                return
            letters = self._receive(number)
            new = [letter for letter in letters if letter.message_id not in seen]
            seen.update(letter.message_id for letter in new)
            empty = 0 if letters else empty + 1
            if new:
                yield new
        self.complete = True

    def remove(self, letters: Sequence[Letter]) -> set[str]:
        """Delete letters for good, and return the ids of those for which that is certain."""
        removed: set[str] = set()
        for _ in range(2):
            pending = [letter for letter in letters if letter.message_id not in removed]
            for batch in chunked(pending, REQUEST_LIMIT):
                removed.update(self._remove_once(batch))
        for message_id in removed:
            self._held.pop(message_id, None)
        return removed

    def release(self) -> None:
        """Make everything that is still there visible again. What can't be comes back by itself, later."""
        handles = list(self._held.values())
        self._held.clear()
        for batch in chunked(handles, REQUEST_LIMIT):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(batch)
            ]
            try:
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            except (ClientError, BotoCoreError):
                continue

    def _receive(self, number: int) -> list[Letter]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=number,
            VisibilityTimeout=HIDDEN_SECONDS,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
            WaitTimeSeconds=WAIT_SECONDS,
        )
        letters = [letter_of(message) for message in answer.get("Messages", [])]
        self._held.update({letter.message_id: letter.receipt_handle for letter in letters})
        return letters

    def _remove_once(self, letters: Sequence[Letter]) -> set[str]:
        entries = [
            {"Id": str(number), "ReceiptHandle": self._held.get(letter.message_id, letter.receipt_handle)}
            for number, letter in enumerate(letters)
        ]
        try:
            answer = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError):
            return set()
        return {letters[int(entry["Id"])].message_id for entry in answer.get("Successful", [])}


@contextmanager
def looking_through(target: Target) -> Iterator[Look]:
    """Look through the target's dead-letter queue; at the end everything in it is visible again."""
    look = Look(target.client("sqs"), target.settings.dead_letter_queue_url)
    try:
        yield look
    finally:
        look.release()


@dataclass(frozen=True)
class QueueState:
    """Letters that can be seen, letters that somebody else is looking at, and the time by SQS's clock."""

    visible: int
    hidden: int
    now: float


def state_of(target: Target) -> QueueState:
    """Ask SQS how the dead-letter queue stands, approximately."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = target.settings.dead_letter_queue_url
    answer = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    now = parsedate_to_datetime(date).timestamp() if date else time.time()
    visible, hidden = (int(answer["Attributes"][name]) for name in names)
    return QueueState(visible, hidden, now)


# --- sending back ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which letters to send back: of these reasons (empty: of any), and how many at most (None: all)."""

    reasons: frozenset[str] = frozenset()
    limit: int | None = None
    dry_run: bool = False


@dataclass
class Redriven:
    """What became of the letters. ``stuck`` were sent, and could not be deleted: sent again, they are duplicates."""

    sent: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    stuck: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    newer: int = 0
    complete: bool = False


class Redrive:
    """Sends events back to the buffer queue, and only then deletes them from the dead-letter queue.

    So an event is in one of the two at every moment, or in both: then it is processed twice, and the second time is
    recognised as a duplicate. Letters that arrive after the start are left alone, because an event that is rejected
    once more would go round for ever. ``done`` is kept up to date, also for whoever interrupts.
    """

    def __init__(self, target: Target, wanted: Wanted, sent: Callable[[int], None] = lambda _: None) -> None:
        self._target = target
        self._client = target.client("sqs")
        self._wanted = wanted
        self._sent = sent
        self._events: set[bytes] = set()
        self.done = Redriven()

    def run(self) -> Redriven:
        """Go through the queue until nothing that is wanted is left in it."""
        url = buffer_queue_url(self._target)
        started = state_of(self._target).now
        while True:
            before = self.done.sent.total()
            self.done.kept, self.done.newer = Counter(), 0
            with looking_through(self._target) as look:
                for group in look.groups(self._room):
                    self._send_back(look, url, self._choose(group, started))
            self.done.complete = look.complete
            if look.complete or not self._room() or self._wanted.dry_run or self.done.sent.total() == before:
                return self.done

    def _room(self) -> int:
        if self._wanted.limit is None:
            return REQUEST_LIMIT
        return self._wanted.limit - self.done.sent.total()

    def _choose(self, letters: Sequence[Letter], started: float) -> list[tuple[Letter, str]]:
        """Return the letters to be sent, each with its event."""
        chosen: list[tuple[Letter, str]] = []
        for letter in letters:
            event = letter.event
            if self._is_newer(letter, event, started):
                self.done.newer += 1
            elif self._wanted.reasons and letter.reason not in self._wanted.reasons:
                self.done.kept[letter.reason] += 1
            elif letter.message_id in self.done.stuck or letter.message_id in self.done.refused:
                continue
            elif event is None:
                self.done.refused[letter.message_id] = "the Lambda service's envelope does not hold the event"
            else:
                chosen.append((letter, event))
        return chosen

    def _is_newer(self, letter: Letter, event: str | None, started: float) -> bool:
        """Whether the letter arrived after the start.

        SQS's clock is read in whole seconds. Of the second in which it was read, what was sent already has come back,
        and anything else was there before.
        """
        if letter.sent_at < started:
            return False
        return letter.sent_at >= started + 1 or _digest(event) in self._events

    def _send_back(self, look: Look, url: str, chosen: Sequence[tuple[Letter, str]]) -> None:
        if self._wanted.dry_run:
            self.done.sent.update(letter.reason for letter, _ in chosen)
            return
        for batch in constrained_batches(chosen, REQUEST_LIMIT_BYTES, REQUEST_LIMIT, _event_bytes, strict=False):
            sent = self._send(url, batch)
            removed = look.remove(sent) if sent else set()
            self.done.sent.update(letter.reason for letter in sent)
            self._events.update(_digest(letter.event) for letter in sent)
            self.done.stuck += [letter.message_id for letter in sent if letter.message_id not in removed]
            self._sent(self.done.sent.total())

    def _send(self, url: str, batch: Sequence[tuple[Letter, str]]) -> list[Letter]:
        """Send one request's worth, and return the letters whose events the queue has for certain."""
        # The attributes stay behind: should the event come back, they would tell a reason that is no longer true.
        entries = [{"Id": str(number), "MessageBody": event} for number, (_, event) in enumerate(batch)]
        answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        for failure in answer.get("Failed", []):
            letter = batch[int(failure["Id"])][0]
            self.done.refused[letter.message_id] = f"{failure.get('Code')}: {failure.get('Message', '')}"
        return [batch[int(entry["Id"])][0] for entry in answer.get("Successful", [])]


def _digest(event: str | None) -> bytes:
    return hashlib.blake2b((event or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _event_bytes(entry: tuple[Letter, str]) -> int:
    return len(entry[1].encode("utf-8", "surrogatepass"))
