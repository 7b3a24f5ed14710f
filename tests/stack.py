"""Fixtures: the embedded stack in each delivery mode, deployed once in each test process that uses it.

A pytest plugin, which tests/conftest.py names. Each process has its own emulator with its own port and temporary state
folder, so that tests can run in parallel.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carousel_sync.aws.target import FUNCTION_ALIAS, Target, function_name
from carousel_sync.local_stack.stack import DeliveryMode, LocalStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The stack with queue delivery."""
    yield from _deployed(tmp_path_factory, DeliveryMode.QUEUE)


@pytest.fixture(scope="session")
def direct_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The stack with direct delivery, on an emulator of its own."""
    yield from _deployed(tmp_path_factory, DeliveryMode.DIRECT)


def publish(target: Target) -> None:
    """Publish the function as it is now. Events are sent to the alias, which refers to a published version."""
    client, name = target.client("lambda"), function_name(target.stage)
    version = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name=FUNCTION_ALIAS, FunctionVersion=version)


def _deployed(tmp_path_factory: pytest.TempPathFactory, delivery_mode: DeliveryMode) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp(f"stack-{delivery_mode.value}")) as deployed:
        deployed.up(delivery_mode)
        yield deployed
