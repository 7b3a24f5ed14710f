"""The retry loop, and the deadline that bounds it."""

from __future__ import annotations

import random
import time

import pytest

from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from tests.fakes.clock import FakeClock


class Share(random.Random):
    """Draws a fixed share of the longest pause, and records the bounds."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.bounds: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.bounds.append((a, b))
        return a + (b - a) * self.share


def times_of_tries(share: float, seconds: float, each: float, limit: int = 1000) -> list[float]:
    """Return the time at which each try started."""
    clock = FakeClock()
    times: list[float] = []
    for number in Retry(clock, Share(share)).tries(Deadline.after(clock, seconds), each):
        assert number == len(times)
        times.append(clock.monotonic())
        if len(times) == limit:
            break
    return times


def test_pauses_double_up_to_the_maximum() -> None:
    draws = Share(1.0)
    clock = FakeClock()
    for number in Retry(clock, draws, first_seconds=0.05, longest_seconds=2.0).tries(Deadline.after(clock, 60), 1):
        if number == 8:
            break
    assert draws.bounds == [(0.0, longest) for longest in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)]
    assert clock.monotonic() == pytest.approx(7.15)


def test_a_pause_is_the_random_draw() -> None:
    assert times_of_tries(0.5, 60, 1, limit=4) == pytest.approx([0, 0.025, 0.075, 0.175])


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(("seconds", "each"), [(1.0, 1.0), (5.0, 0.5), (10.0, 5.0), (58.0, 3.0)])
def test_no_try_starts_that_could_end_too_late(share: float, seconds: float, each: float) -> None:
    times = times_of_tries(share, seconds, each, limit=20_000)
    assert times[0] == 0
    assert max(times) + each <= seconds
    # It stopped because there was no time, and not earlier.
    assert seconds - each - max(times) < 2.0


@pytest.mark.parametrize(("seconds", "each"), [(0.0, 0.1), (-1.0, 0.0), (4.9, 5.0)])
def test_there_is_no_try_if_not_even_the_first_fits(seconds: float, each: float) -> None:
    assert times_of_tries(1.0, seconds, each) == []


def test_the_time_of_the_tries_counts() -> None:
    clock = FakeClock()
    tries = 0
    for _ in Retry(clock, Share(0.0)).tries(Deadline.after(clock, 10), 3):
        tries += 1
        clock.advance(3)
    assert tries == 3


def test_there_is_no_pause_before_the_first_try_or_after_the_last() -> None:
    clock = FakeClock()
    tries = Retry(clock, Share(1.0)).tries(Deadline.after(clock, 60), 1)
    assert next(tries) == 0
    assert clock.monotonic() == 0
    tries.close()  # type: ignore[attr-defined]
    assert clock.monotonic() == 0


def test_there_is_no_pause_without_time_for_another_try() -> None:
    clock = FakeClock()
    times = [clock.monotonic() for _ in Retry(clock, Share(1.0)).tries(Deadline.after(clock, 10), 5)]
    assert clock.monotonic() == times[-1]


def test_a_huge_number_of_tries_does_not_overflow() -> None:
    assert len(times_of_tries(0.0001, 10_000, 1, limit=2000)) == 2000


def test_a_deadline_counts_down() -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 10)
    clock.advance(4)
    assert deadline.remaining_seconds() == 6
    assert deadline.allows(6)
    assert not deadline.allows(6.001)
    clock.advance(7)
    assert deadline.remaining_seconds() == -1
    assert not deadline.allows(0)


def test_wall_clock_changes_do_not_move_a_deadline() -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 10)
    clock.set_now(0)
    assert deadline.remaining_seconds() == 10


def test_the_system_clock() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009
    assert abs(clock.now() - time.time()) < 5
