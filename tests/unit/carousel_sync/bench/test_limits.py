"""A run that the machine cannot take, or whose report could not be written, ends before anything is started."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from carousel_sync.bench import commands, load
from carousel_sync.bench.payloads import Payload


class Started(Exception):
    """The stack was about to be started."""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 4 processors, 8 GB of memory and 100 GB of free space."""

    def started(_: Path) -> None:
        raise Started

    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 8 * 1024**3 // 4096}
    monkeypatch.setattr(commands, "LocalStack", started)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("os.sysconf", lambda name: sizes[name])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 * 1024**3))


def run(*options: str) -> tuple[BaseException | None, str]:
    done = CliRunner().invoke(commands.app, ["local", *options])
    return done.exception, " ".join(done.stderr.split())


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--concurrency", "1000000"), "--concurrency is at most 32 on this machine"),
        (("--concurrency", "33"), "--concurrency is at most 32 on this machine"),
        (("--events", "1000000000"), "--events is at most"),
        (("--events", "1000000"), "--events is at most"),
        (("--report", "/nowhere/report.html"), "Cannot write /nowhere/report.html"),
        (("--report", "/"), "Cannot write /"),
    ],
)
def test_what_the_machine_cannot_take_is_refused(options: tuple[str, ...], message: str) -> None:
    raised, shown = run(*options)
    assert isinstance(raised, SystemExit)
    assert message in shown
    assert "Nothing was started." in shown


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    "options", [(), ("--concurrency", "32"), ("--events", "200000"), ("--events", "2000000", "--embedding", "0")]
)
def test_what_the_machine_can_take_is_started(options: tuple[str, ...], tmp_path: Path) -> None:
    raised, _ = run(*options, "--report", str(tmp_path / "report.html"))
    assert isinstance(raised, Started)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("machine")
def test_events_that_do_not_fit_on_the_disk_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert "--events is at most" in run()[1]


def test_no_more_handlers_are_started_than_there_are_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    numbers: list[int] = []

    @contextmanager
    def handlers(number: int, _: Mapping[str, str]) -> Iterator[Any]:
        numbers.append(number)
        raise Started
        yield

    monkeypatch.setattr(load, "_handlers", handlers)
    for batches in (2, 9):
        with pytest.raises(Started):
            load.run([Payload(tmp_path, 1)] * batches, 5, {})
    assert numbers == [2, 5]
