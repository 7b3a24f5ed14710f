"""What the embedded stack leaves behind when it can't start, or is interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from carousel_sync.cli import app
from carousel_sync.local_stack import deployment, emulator, state
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import StackState

PID = 2**22 + 1
"""No process has this id: it is beyond the kernel's limit."""


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An emulator that starts, and whose deployment is interrupted. Returns the processes that were stopped."""
    ended: list[int] = []

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(emulator, "start", lambda *_, **__: PID)
    monkeypatch.setattr(emulator, "wait_until_healthy", lambda *_: None)
    monkeypatch.setattr(emulator, "stop", ended.append)
    monkeypatch.setattr(deployment, "deploy", interrupted)
    return ended


def test_an_interrupted_start_leaves_no_emulator(tmp_path: Path, stopped: list[int]) -> None:
    done = CliRunner().invoke(app, ["local", "up", "--state-dir", str(tmp_path)])
    assert done.exit_code == 130
    assert "If this command started an emulator, it was stopped." in " ".join(done.output.split())
    assert stopped == [PID]
    assert state.load(tmp_path) is None


def test_an_interrupted_update_leaves_the_emulator_that_was_running(
    tmp_path: Path, stopped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save(tmp_path, StackState(pid=PID, port=1, token="token", stage="dev"))
    monkeypatch.setattr(emulator, "is_emulator", lambda _: True)
    monkeypatch.setattr(emulator, "is_healthy", lambda *_: True)
    with pytest.raises(KeyboardInterrupt):
        LocalStack(tmp_path).up()
    assert stopped == []
    assert state.load(tmp_path) is not None


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_folder_that_cannot_hold_the_state_is_named(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, ["local", command, "--state-dir", str(tmp_path / "file/x")])
    assert done.exit_code == 1
    assert "can't hold the stack's state" in done.stderr
    assert "Traceback" not in done.output
