"""The running embedded stack as a target for commands."""

from __future__ import annotations

from pathlib import Path

import boto3

from carousel_sync.aws.target import Target
from carousel_sync.local_stack import state
from lambda_fn.errors import ConfigurationError


def running_target(stage: str, state_dir: Path | None = None) -> Target:
    """Return the embedded stack whose state is in ``state_dir`` (default: see ``state_directory``) as a target.

    Opens no connection. Raises ConfigurationError when the stack is not running, or runs another stage.
    """
    directory = state.state_directory(state_dir)
    running = state.load(directory)
    if running is None or not state.is_alive(running.pid):
        raise not_running(directory, f"carousel-sync local up --stage {stage}")
    if running.stage != stage:
        raise ConfigurationError(
            f"The embedded stack runs stage {running.stage!r}, not {stage!r}. Nothing was changed. Use "
            f"--stage {running.stage}, or replace the stack, which deletes its data: carousel-sync local down, then "
            f"carousel-sync local up --stage {stage}"
        )
    return target_of(running)


def not_running(directory: Path, start_command: str) -> ConfigurationError:
    """Return the error to raise when no stack runs from this state folder."""
    return ConfigurationError(
        f"The embedded stack is not running (its state folder is {directory}). Start it: {start_command}"
    )


def target_of(running: state.StackState) -> Target:
    """Return a target for a stack that is known to be running."""
    session = boto3.Session(state.ACCESS_KEY_ID, state.SECRET_ACCESS_KEY, region_name=running.region)
    return Target(
        stage=running.stage,
        region=running.region,
        session=session,
        endpoint_url=running.endpoint_url,
        credentials=running.credentials,
    )
