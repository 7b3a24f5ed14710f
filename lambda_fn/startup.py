"""What makes a cold start cheap."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Make objects without looking for garbage among them, and never look at them again.

    Importing and wiring make half a million objects that live as long as the process. Python's collector would walk
    over all of them again and again while they are made (a fifth of a cold start's CPU time), and at each full
    collection ever after.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
