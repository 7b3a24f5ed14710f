"""A clock whose date can be moved forward."""

from __future__ import annotations

import time


class ShiftedClock:
    """The machine's clock. Shifting its date makes leases expire; ``pause_factor`` scales the pauses between tries."""

    def __init__(self, pause_factor: float = 1.0) -> None:
        self.shift_seconds = 0.0
        self._pause_factor = pause_factor

    def now(self) -> float:
        return time.time() + self.shift_seconds

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds * self._pause_factor)
