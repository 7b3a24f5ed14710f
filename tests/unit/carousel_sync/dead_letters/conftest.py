"""Queues in memory, and the commands that use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from carousel_sync.aws.target import Target
from carousel_sync.dead_letters import commands
from carousel_sync.dead_letters import redrive as redriving
from tests.fakes.sqs import FakeSQS, client_error

DEAD = "https://sqs/dead"
BUFFER = "https://sqs/buffer"


class Deployed:
    """A target that has queues and nothing else."""

    stage = "test"
    flags = "--stage test"

    def __init__(self, queues: FakeSQS) -> None:
        self._queues = queues

    @property
    def settings(self) -> Any:
        return type("Settings", (), {"dead_letter_queue_url": DEAD})

    def client(self, service: str) -> FakeSQS:
        assert service == "sqs"
        return self._queues


@pytest.fixture
def queues() -> FakeSQS:
    return FakeSQS(DEAD, BUFFER)


@pytest.fixture
def target(queues: FakeSQS, monkeypatch: pytest.MonkeyPatch) -> Target:
    found = cast("Target", Deployed(queues))
    monkeypatch.setattr(redriving, "buffer_queue_url", lambda _: BUFFER)
    monkeypatch.setattr(commands, "resolve", lambda *_: found)
    return found


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(commands.app, list(arguments))
    return result.exit_code, (result.stdout + result.stderr).strip()


def failing(name: str, error: Callable[[], BaseException] = lambda: client_error("ServiceUnavailable")) -> Any:
    def before(request: str) -> None:
        if request == name:
            raise error()

    return before
