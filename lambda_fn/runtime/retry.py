"""Time: the clock, the deadline, and the only retry loop of this project."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

# Enough for any pause, and far from where a double overflows.
_DOUBLINGS_LIMIT: Final = 60


class Clock(Protocol):
    """What the code knows of time; a test or a simulation puts its own here."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Deadline:
    """The moment by which an invocation must have answered (its margin for answering already taken off)."""

    clock: Clock
    at_monotonic_seconds: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the deadline that is so many seconds from now."""
        return cls(clock, clock.monotonic() + seconds)

    def remaining_seconds(self) -> float:
        """Seconds left; negative once the deadline has passed."""
        return self.at_monotonic_seconds - self.clock.monotonic()

    def allows(self, seconds: float) -> bool:
        """Whether something that may take so long still fits."""
        return self.remaining_seconds() >= seconds


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with full jitter, bounded by the deadline alone.

    Full jitter (a uniform draw between zero and the cap) spreads competing writers best; see the AWS Architecture
    Blog, "Exponential Backoff And Jitter".
    """

    clock: Clock
    random: random.Random
    first_seconds: float = 0.05
    longest_seconds: float = 2.0

    def tries(self, deadline: Deadline, each_may_take_seconds: float) -> Iterator[int]:
        """Yield 0, 1, 2, ... for as long as one more try fits before the deadline, pausing in between.

        Yields nothing at all when not even the first try fits: the caller's ``for ... else`` is its "out of time".
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
