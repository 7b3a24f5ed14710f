"""The one retry loop, and the deadline that bounds it."""

from __future__ import annotations

import random
import time

import pytest

from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from tests.fakes.clock import FakeClock


class Share(random.Random):
    """Draws a fixed share of the longest pause, and remembers the bounds."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.bounds: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.bounds.append((a, b))
        return a + (b - a) * self.share


def times_of_tries(share: float, seconds: float, each: float, limit: int = 1000) -> list[float]:
    """Return when each try began, by the clock."""
    clock = FakeClock()
    times: list[float] = []
    for number in Retry(clock, Share(share)).tries(Deadline.after(clock, seconds), each):
        assert number == len(times)
        times.append(clock.monotonic())
        if len(times) == limit:
            break
    return times


def test_pauses_double_up_to_the_longest() -> None:
    draws = Share(1.0)
    clock = FakeClock()
    for number in Retry(clock, draws, first_seconds=0.05, longest_seconds=2.0).tries(Deadline.after(clock, 60), 1):
        if number == 8:
            break
    assert draws.bounds == [(0.0, longest) for longest in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)]
    assert clock.monotonic() == pytest.approx(7.15)


def test_a_pause_is_what_was_drawn() -> None:
    assert times_of_tries(0.5, 60, 1, limit=4) == pytest.approx([0, 0.025, 0.075, 0.175])


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(("seconds", "each"), [(1.0, 1.0), (5.0, 0.5), (10.0, 5.0), (58.0, 3.0)])
def test_no_try_begins_that_might_not_end_in_time(share: float, seconds: float, each: float) -> None:
    times = times_of_tries(share, seconds, each, limit=20_000)
    assert times[0] == 0
    assert max(times) + each <= seconds
    # It stopped for want of time, and not early.
    assert seconds - each - max(times) < 2.0


@pytest.mark.parametrize(("seconds", "each"), [(0.0, 0.1), (-1.0, 0.0), (4.9, 5.0)])
def test_no_try_when_not_even_the_first_fits(seconds: float, each: float) -> None:
    assert times_of_tries(1.0, seconds, each) == []


def test_time_that_the_tries_take_counts() -> None:
    clock = FakeClock()
    tries = 0
    for _ in Retry(clock, Share(0.0)).tries(Deadline.after(clock, 10), 3):
        tries += 1
        clock.advance(3)
    assert tries == 3


def test_no_pause_before_the_first_try_and_none_after_the_last() -> None:
    clock = FakeClock()
    tries = Retry(clock, Share(1.0)).tries(Deadline.after(clock, 60), 1)
    assert next(tries) == 0
    assert clock.monotonic() == 0
    tries.close()  # type: ignore[attr-defined]
    assert clock.monotonic() == 0


def test_no_pause_after_which_there_is_no_time_for_a_try() -> None:
    clock = FakeClock()
    times = [clock.monotonic() for _ in Retry(clock, Share(1.0)).tries(Deadline.after(clock, 10), 5)]
    assert clock.monotonic() == times[-1]


def test_huge_numbers_of_tries_do_not_overflow() -> None:
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


def test_a_correction_of_the_wall_clock_does_not_move_a_deadline() -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 10)
    clock.set_now(0)
    assert deadline.remaining_seconds() == 10


def test_the_systems_clock() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009
    assert abs(clock.now() - time.time()) < 5
