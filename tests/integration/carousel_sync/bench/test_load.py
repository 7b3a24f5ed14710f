"""Handlers in their own processes: they are stopped in any case, and one that ends early is reported."""

from __future__ import annotations

import multiprocessing
import os
import threading
from datetime import date
from pathlib import Path

import pytest

from carousel_sync.bench import load
from carousel_sync.bench.load import Tally
from carousel_sync.bench.payloads import Payload, prepare
from carousel_sync.events.generate import Recipe
from lambda_fn.errors import StoreUnavailable
from tests.waiting import eventually


@pytest.fixture
def blocking(tmp_path: Path) -> Payload:
    """A batch whose handler waits forever for the content of its file."""
    path = tmp_path / "blocking.json"
    os.mkfifo(path)
    return Payload(path, 1)


def is_being_read(path: Path) -> bool:
    """Return whether a process has opened the FIFO. Opening it for writing fails until then (POSIX, open)."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_a_handler_whose_process_is_killed_is_reported(blocking: Payload) -> None:
    def kill() -> None:
        eventually(lambda: is_being_read(blocking.path))
        for process in multiprocessing.active_children():
            process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StoreUnavailable, match="ended while it worked on a batch"):
        load.run([blocking], 1, {})
    killer.join()
    assert multiprocessing.active_children() == []


def test_an_interruption_stops_handlers_that_are_busy(blocking: Payload, tmp_path: Path) -> None:
    # Without settings, the handler raises at once.
    recipe = Recipe(1, seed=1, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0, embedding=0)
    (failing,) = prepare(recipe, 1, "arn:aws:sqs:eu-west-1:000000000000:queue", tmp_path).payloads

    def interrupt(tally: Tally) -> None:
        assert "ConfigurationError" in tally.invocations[0].error
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load.run([blocking, failing], 2, {}, interrupt)
    assert multiprocessing.active_children() == []
