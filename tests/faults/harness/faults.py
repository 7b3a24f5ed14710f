"""The faults that one request can meet."""

from __future__ import annotations

from typing import Final

from tests.faults.harness.fault_proxy import Fault, Reply, Timing

REFUSED: Final = Fault("refused", Timing.NEVER, Reply.RESET)
DROPPED: Final = Fault("dropped", Timing.NEVER, Reply.NOTHING)
ANSWER_LOST: Final = Fault("answer lost", Timing.AT_ONCE, Reply.NOTHING)
ANSWER_RESET: Final = Fault("answer reset", Timing.AT_ONCE, Reply.RESET)
LATE: Final = Fault("late", Timing.AFTER_THE_TIMEOUT, Reply.NOTHING)
HELD: Final = Fault("held until the delivery has ended", Timing.WHEN_RELEASED, Reply.NOTHING)
HELD_LONGER: Final = Fault("held until the next delivery has ended", Timing.WHEN_RELEASED, Reply.NOTHING)
TRUNCATED: Final = Fault("answer truncated", Timing.AT_ONCE, Reply.HALF)
GARBLED: Final = Fault("answer garbled", Timing.AT_ONCE, Reply.GARBLED)
THROTTLED: Final = Fault("throttled", Timing.NEVER, Reply.REFUSAL)
REFUSALS: Final = tuple(
    Fault(f"answered {status}", Timing.NEVER, Reply.REFUSAL, status) for status in (409, 429, 500, 503)
)
REFUSALS_AFTER: Final = tuple(
    Fault(f"answered {status} after the effect", Timing.AT_ONCE, Reply.REFUSAL, status) for status in (409, 500, 503)
)

ALL_FAULTS: Final = (
    REFUSED,
    DROPPED,
    ANSWER_LOST,
    ANSWER_RESET,
    LATE,
    HELD,
    HELD_LONGER,
    TRUNCATED,
    GARBLED,
    THROTTLED,
    *REFUSALS,
    *REFUSALS_AFTER,
)

DELIVERIES_HELD: Final = {HELD_LONGER: 2}
"""The number of deliveries that a held request outlives. Every other late request ends with its own delivery."""
