"""A clock that only a test moves."""

from __future__ import annotations

import threading
from typing import Final

DEFAULT_NOW: Final = 1_790_000_000.0
"""21 September 2026."""


class FakeClock:
    """Implements lambda_fn.runtime.retry.Clock. Sleeping returns immediately, and advances the clock.

    The wall clock and the monotonic clock advance together. ``set_now`` sets only the wall clock, as a correction of
    the machine's clock would.
    """

    def __init__(self, now: float = DEFAULT_NOW) -> None:
        self._now = now
        self._monotonic = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the seconds since the Unix epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds on a clock that never goes back; 0 at the start."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Advance both clocks."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Advance both clocks."""
        if seconds < 0:
            raise ValueError(f"Time does not pass by {seconds} seconds.")
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def set_now(self, now: float) -> None:
        """Set the wall clock, forward or back."""
        with self._lock:
            self._now = now
