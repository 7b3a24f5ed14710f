"""Waiting until a condition holds, with a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

BOUND_SECONDS: Final = 60.0
"""Long enough for any condition that holds at all, even on a busy machine."""
_POLL_SECONDS: Final = 0.02


def holds_within(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition, and return whether it held in time."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            return False
        pause.wait(_POLL_SECONDS)
    return True


def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition, and fail when it does not hold in time."""
    assert holds_within(condition, BOUND_SECONDS), f"the condition did not hold within {BOUND_SECONDS:.0f} seconds"
