"""Time: the clock, the deadline, and the back-off with which the function repeats requests."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

# Enough for any pause, and far from where a double overflows.
_DOUBLINGS_LIMIT: Final = 60


class Clock(Protocol):
    """The source of time. Tests and the simulation have clocks of their own."""

    def now(self) -> float:
        """Return the seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Return the seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return the seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return the seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Deadline:
    """The time at which an invocation has to stop working. The time to write its response is not included."""

    clock: Clock
    at_monotonic_seconds: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the deadline that is this many seconds from now."""
        return cls(clock, clock.monotonic() + seconds)

    def remaining_seconds(self) -> float:
        """Return the seconds that are left. They are negative once the deadline has passed."""
        return self.at_monotonic_seconds - self.clock.monotonic()

    def allows(self, seconds: float) -> bool:
        """Return whether there is time for something that may take this many seconds."""
        return self.remaining_seconds() >= seconds


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with full jitter, limited by the deadline only.

    Full jitter (a uniform draw between zero and the cap) spreads competing writers best; see the AWS Architecture
    Blog, "Exponential Backoff And Jitter".
    """

    clock: Clock
    random: random.Random
    first_seconds: float = 0.05
    longest_seconds: float = 2.0

    def tries(self, deadline: Deadline, each_may_take_seconds: float) -> Iterator[int]:
        """Yield 0, 1, 2, ... as long as one more try ends before the deadline, with a pause between two tries.

        Yields nothing if there is no time for a first try, so that the code after the loop handles "out of time".
        """
        number = 0
        while deadline.allows(each_may_take_seconds):
            yield number
            longest = min(self.longest_seconds, self.first_seconds * 2.0 ** min(number, _DOUBLINGS_LIMIT))
            pause = self.random.uniform(0.0, longest)
            if not deadline.allows(pause + each_may_take_seconds):
                return
            self.clock.sleep(pause)
            number += 1
