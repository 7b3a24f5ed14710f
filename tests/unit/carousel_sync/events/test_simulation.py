"""``carousel-sync simulate --rate``: events are sent at the given rate."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from carousel_sync.aws.event_bus import EventBus
from carousel_sync.events.generate import Recipe
from carousel_sync.events.simulation import Counts, send_all
from tests.fakes.clock import FakeClock


class Bus:
    """Accepts everything, and records when."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.at: list[float] = []

    def put_events(self, *, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803
        self.at += [self._clock.monotonic()] * len(Entries)
        return {"Entries": [{"EventId": str(number)} for number in range(len(Entries))]}


@pytest.mark.parametrize(("rate", "seconds"), [(None, 0.0), (5.0, 8.0), (0.5, 80.0)])
def test_events_are_sent_at_the_rate(rate: float | None, seconds: float) -> None:
    clock = FakeClock()
    bus = Bus(clock)
    recipe = Recipe(50, seed=1, until=date(2026, 1, 1), embedding=0)
    counts = Counts()
    for batch in send_all(recipe, EventBus(bus, "default", clock), rate, clock):
        counts.add(*batch)
    assert counts.events == len(bus.at) == 50
    assert bus.at[-1] == pytest.approx(seconds)
    assert sorted(bus.at) == bus.at
