"""``--stage`` and ``--local``: the deployment that they select, and the options that select it again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carousel_sync.command_line.stage import resolve
from carousel_sync.local_stack import state
from carousel_sync.local_stack.state import StackState
from lambda_fn.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of an embedded stack that does not exist."""
    monkeypatch.setenv(state.STATE_DIR_VARIABLE, str(tmp_path))
    return tmp_path


def test_without_local_it_is_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    target = resolve("prod", local=False)
    assert (str(target), target.is_local, target.flags) == ("AWS eu-north-1", False, "--stage prod")


def test_without_local_it_may_be_another_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    target = resolve("dev", local=False)
    assert (str(target), target.region, target.flags) == ("http://127.0.0.1:9", "eu-west-1", "--stage dev")


def test_with_local_it_is_the_embedded_stack(folder: Path) -> None:
    state.save(folder, StackState(pid=os.getpid(), port=9, token="token", stage="dev"))
    target = resolve("dev", local=True)
    assert (str(target), target.is_local, target.flags) == ("http://127.0.0.1:9", True, "--stage dev --local")


@pytest.mark.usefixtures("folder")
def test_without_an_embedded_stack_the_error_names_the_command_that_starts_it() -> None:
    with pytest.raises(ConfigurationError, match=r"is not running .* carousel-sync local up --stage prod"):
        resolve("prod", local=True)


def test_an_embedded_stack_of_another_stage_is_not_used(folder: Path) -> None:
    state.save(folder, StackState(pid=os.getpid(), port=9, token="token", stage="dev"))
    with pytest.raises(ConfigurationError, match=r"runs stage 'dev', not 'prod'.*--stage dev"):
        resolve("prod", local=True)
