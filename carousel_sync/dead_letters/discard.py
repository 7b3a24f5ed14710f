"""Deleting dead letters for good, each after a copy of it is on disk."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carousel_sync.aws.target import Target
from carousel_sync.dead_letters.letters import Letter
from carousel_sync.dead_letters.queue import scanning
from lambda_fn.errors import ConfigurationError


@dataclass(frozen=True)
class Chosen:
    """The letters to discard: the reason of each by its id. ``unknown`` are ids that no visible letter has.

    ``others`` counts by reason the letters that were not chosen. ``complete`` is False if the queue holds more letters
    than were read.
    """

    reasons: Mapping[str, str]
    others: Counter[str]
    unknown: list[str]
    complete: bool


@dataclass
class Discarded:
    """What was deleted, by reason. ``not_deleted`` are ids of letters that have a copy and are still in the queue.

    ``gone`` are ids of chosen letters that were no longer there.
    """

    deleted: Counter[str] = field(default_factory=Counter)
    not_deleted: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def choose(target: Target, ids: frozenset[str], reasons: frozenset[str]) -> Chosen:
    """Read the queue and return the letters with one of the ids, or with one of the reasons. Changes nothing."""
    found: dict[str, str] = {}
    others: Counter[str] = Counter()
    with scanning(target) as scan:
        for letters in scan.batches():
            for letter in letters:
                if letter.message_id in ids or letter.reason in reasons:
                    found[letter.message_id] = letter.reason
                else:
                    others[letter.reason] += 1
    return Chosen(found, others, sorted(ids - found.keys()), scan.complete)


class Discard:
    """Deletes letters by their ids. ``result`` is up to date at any time.

    The copies are JSON lines, each as ``dlq show --json`` prints a letter.
    """

    def __init__(self, target: Target, ids: frozenset[str], keep: Path) -> None:
        self._target = target
        self._ids = ids
        self._keep = keep
        self.result = Discarded()

    def run(self) -> Discarded:
        """Copy and delete the letters, batch by batch.

        Raises ConfigurationError if the file of the copies exists already or can't be written; the letters whose copy
        was not complete are then still in the queue.
        """
        pending = set(self._ids)
        with scanning(self._target) as scan:
            for letters in scan.batches():
                batch = [letter for letter in letters if letter.message_id in pending]
                if not batch:
                    continue
                self._copy(batch, is_first=pending == self._ids)
                deleted = scan.delete(batch)
                pending -= {letter.message_id for letter in batch}
                self.result.deleted.update(letter.reason for letter in batch if letter.message_id in deleted)
                self.result.not_deleted += [letter.message_id for letter in batch if letter.message_id not in deleted]
                if not pending:
                    break
        self.result.gone = sorted(pending)
        return self.result

    def _copy(self, letters: list[Letter], *, is_first: bool) -> None:
        try:
            with self._keep.open("x" if is_first else "a", encoding="ascii") as file:
                file.writelines(json.dumps(letter.document) + "\n" for letter in letters)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigurationError(
                f"{self._keep} can't be written: {error.strerror}. The letters without a copy are still in the queue."
            ) from error
