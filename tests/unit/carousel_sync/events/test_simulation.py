"""``carousel-sync simulate``: events are sent at the given rate, and no more than the machine can take."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from carousel_sync.aws.event_bus import EventBus
from carousel_sync.cli import app
from carousel_sync.events import simulation
from carousel_sync.events.generate import GeneratedEvent, Recipe
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


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--count", "1000000000000"), 2, "less than or equal to 10000000"),
        (("--tenants", "1000000000"), 2, "less than or equal to 10000"),
        (("--count", "2000000"), 1, "needs about"),
    ],
)
def test_more_events_than_the_machine_can_take_are_refused(
    options: tuple[str, ...], code: int, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none_is_generated(_: Recipe) -> Iterator[GeneratedEvent]:
        raise AssertionError

    monkeypatch.setattr(simulation, "generate", none_is_generated)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000_000))
    path = tmp_path / "events.jsonl"
    path.write_text("before")
    done = CliRunner().invoke(app, ["simulate", *options, "--out", str(path)])
    assert done.exit_code == code
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert path.read_text() == "before"


def test_events_can_be_written_to_a_device() -> None:
    done = CliRunner().invoke(app, ["simulate", "--count", "3", "--out", "/dev/null"])
    assert done.exit_code == 0
