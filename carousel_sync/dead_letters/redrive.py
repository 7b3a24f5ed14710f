"""Sending events from the dead-letter queue back to the buffer queue, to be processed again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from more_itertools import constrained_batches

from carousel_sync.aws.buffer_queue import buffer_queue_url, depth
from carousel_sync.aws.target import Target
from carousel_sync.dead_letters.letters import Letter
from carousel_sync.dead_letters.queue import BATCH_LIMIT, Scan, scanning
from lambda_fn.ports import FIRST_SEEN

# Amazon SQS Developer Guide, "Message quotas": bytes per request.
BATCH_LIMIT_BYTES: Final = 1_048_576
LONGEST_INSTANT: Final = 40
"""Characters of an instant in ISO 8601, at most."""
FIRST_SEEN_BYTES: Final = len(FIRST_SEEN) + len("String") + 4 * LONGEST_INSTANT
"""What the attribute adds to the size of a message, at most: its name, its type and its value."""


@dataclass(frozen=True)
class Selection:
    """Which letters to send back: those with these reasons (empty: any), and at most ``limit`` (None: all).

    With ``ids``, only the letters with these ids.
    """

    reasons: frozenset[str] = frozenset()
    limit: int | None = None
    dry_run: bool = False
    ids: frozenset[str] = frozenset()


@dataclass
class Redriven:
    """What became of the letters.

    ``sent`` and ``kept`` count letters by reason; a dry run counts in ``sent`` what it would send. ``not_deleted`` are
    ids of letters that were sent but could not be deleted; sent again, they are duplicates. ``refused`` has the reason
    why a letter could not be sent, by id. ``newer`` is the number of letters that arrived meanwhile. ``unknown`` are
    the selected ids that no letter had.
    """

    sent: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    not_deleted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    newer: int = 0
    unknown: list[str] = field(default_factory=list)
    complete: bool = False


class Redrive:
    """Sends each event to the buffer queue first, and only then deletes its letter.

    So an event is always in one of the two queues, or in both. If it is in both, it is processed twice, and recognised
    as a duplicate the second time. Letters that arrive after the start are left alone: otherwise an event that is
    rejected every time would be sent for ever. ``result`` is up to date at any time, so that it can be reported after
    an interruption.
    """

    def __init__(self, target: Target, selection: Selection) -> None:
        self._target = target
        self._client = target.client("sqs")
        self._selection = selection
        self._sent_digests: set[bytes] = set()
        self._not_found = set(selection.ids)
        self.result = Redriven()

    def run(self) -> Redriven:
        """Scan the queue until none of the selected letters is left in it.

        Raises botocore's errors when SQS can't be reached or refuses a request. Running it again is safe.
        """
        url = buffer_queue_url(self._target)
        started = depth(self._target, self._target.settings.dead_letter_queue_url).read_at
        while True:
            sent_before = self.result.sent.total()
            self.result.kept, self.result.newer = Counter(), 0
            with scanning(self._target) as scan:
                for letters in scan.batches(self._remaining):
                    self._send_back(scan, url, self._selected(letters, started))
            self.result.complete = scan.complete
            self.result.unknown = sorted(self._not_found)
            nothing_new = self.result.sent.total() == sent_before
            if scan.complete or nothing_new or self._selection.dry_run or not self._remaining():
                return self.result

    def _remaining(self) -> int:
        if self._selection.ids and not self._not_found:
            return 0
        if self._selection.limit is None:
            return BATCH_LIMIT
        return self._selection.limit - self.result.sent.total()

    def _selected(self, letters: Sequence[Letter], started: float) -> list[tuple[Letter, str]]:
        """Return the letters to send, each with its event."""
        selected: list[tuple[Letter, str]] = []
        for letter in letters:
            event = letter.event
            if self._selection.ids and letter.message_id not in self._not_found:
                continue
            self._not_found.discard(letter.message_id)
            # A letter that arrives after the start has a new id, so ids need no further comparison.
            if not self._selection.ids and self._is_newer(letter, event, started):
                self.result.newer += 1
            elif self._selection.reasons and letter.reason not in self._selection.reasons:
                self.result.kept[letter.reason] += 1
            elif letter.message_id in self.result.not_deleted or letter.message_id in self.result.refused:
                continue
            elif event is None:
                self.result.refused[letter.message_id] = "the Lambda service's envelope does not contain the event"
            else:
                selected.append((letter, event))
        return selected

    def _is_newer(self, letter: Letter, event: str | None, started: float) -> bool:
        """Whether the letter arrived after the start.

        SQS's clock has a resolution of one second. A letter from the second of the start is new if its event has been
        sent back in this run, because then it was rejected again; otherwise it was there before.
        """
        if letter.sent_at < started:
            return False
        return letter.sent_at >= started + 1 or _digest(event) in self._sent_digests

    def _send_back(self, scan: Scan, url: str, selected: Sequence[tuple[Letter, str]]) -> None:
        if self._selection.dry_run:
            self.result.sent.update(letter.reason for letter, _ in selected)
            return
        for batch in constrained_batches(selected, BATCH_LIMIT_BYTES, BATCH_LIMIT, _event_bytes, strict=False):
            sent = self._send(url, batch)
            deleted = scan.delete(sent) if sent else set()
            self.result.sent.update(letter.reason for letter in sent)
            self._sent_digests.update(_digest(letter.event) for letter in sent)
            self.result.not_deleted += [letter.message_id for letter in sent if letter.message_id not in deleted]

    def _send(self, url: str, batch: Sequence[tuple[Letter, str]]) -> list[Letter]:
        """Send one batch, and return the letters whose events the buffer queue has accepted."""
        entries = [
            {"Id": str(number), "MessageBody": event, **_first_seen(letter, event)}
            for number, (letter, event) in enumerate(batch)
        ]
        response = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        for failure in response.get("Failed", []):
            letter = batch[int(failure["Id"])][0]
            self.result.refused[letter.message_id] = f"{failure.get('Code')}: {failure.get('Message', '')}"
        return [batch[int(entry["Id"])][0] for entry in response.get("Successful", [])]


def _digest(event: str | None) -> bytes:
    return hashlib.blake2b(_encoded(event or ""), digest_size=16).digest()


def _first_seen(letter: Letter, event: str) -> dict[str, Any]:
    """Return the only attribute that is sent back. The letter's others may no longer be true of the next rejection.

    The function takes it over into the letter of the next rejection, and SQS keeps it when it moves the message itself.
    An event that fills a message to the last byte is sent without it.
    """
    if len(_encoded(event)) + FIRST_SEEN_BYTES > BATCH_LIMIT_BYTES:
        return {}
    text = letter.first_seen[:LONGEST_INSTANT]
    return {"MessageAttributes": {FIRST_SEEN: {"DataType": "String", "StringValue": text}}}


def _event_bytes(entry: tuple[Letter, str]) -> int:
    return min(len(_encoded(entry[1])) + FIRST_SEEN_BYTES, BATCH_LIMIT_BYTES)


def _encoded(event: str) -> bytes:
    return event.encode("utf-8", "surrogatepass")
