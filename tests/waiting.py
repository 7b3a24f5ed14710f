"""Waiting for something that happens elsewhere: looked for again and again, up to a bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

BOUND_SECONDS: Final = 60.0
"""Only for the day on which it never happens."""
_POLL_SECONDS: Final = 0.02


def holds_within(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; return whether it held before the time was over."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            return False
        pause.wait(_POLL_SECONDS)
    return True


def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition, and fail when it never holds."""
    assert holds_within(condition, BOUND_SECONDS), f"nothing came of it within {BOUND_SECONDS:.0f} seconds"
