"""A clock that only moves when it is told to."""

from __future__ import annotations

import threading
from typing import Final

DEFAULT_NOW: Final = 1_790_000_000.0
"""21 September 2026."""


class FakeClock:
    """Implements lambda_fn.runtime.retry.Clock. Sleeping returns at once, and the time has passed.

    The wall clock and the monotonic clock pass together; ``set_now`` moves the wall clock alone, as a correction of
    the machine's clock would.
    """

    def __init__(self, now: float = DEFAULT_NOW) -> None:
        self._now = now
        self._monotonic = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; 0 at the start."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let the time pass, on both clocks."""
        if seconds < 0:
            raise ValueError(f"Time does not pass by {seconds} seconds.")
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def set_now(self, now: float) -> None:
        """Set the wall clock, forward or back."""
        with self._lock:
            self._now = now
