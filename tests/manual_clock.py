"""A clock that stands still until a test, or a pause of the code under test, moves it."""

from __future__ import annotations

import random
from typing import Final

from lambda_fn.retry import Deadline, Retry

NOW: Final = 1_773_568_800.0
"""2026-03-15T10:00:00Z."""


class ManualClock:
    """A clock for ``Deadline`` and ``Retry``; ``pauses`` holds how long each pause was, in seconds."""

    def __init__(self, now: float = NOW) -> None:
        self._now = now
        self._monotonic = 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds

    def deadline(self, seconds: float = 60.0) -> Deadline:
        return Deadline.after(self, seconds)

    def retry(self, seed: int = 1) -> Retry:
        return Retry(self, random.Random(seed))  # noqa: S311 - the same pauses every time
