"""Fixtures: the embedded stack in each delivery mode, deployed once in each test process that uses it.

A pytest plugin, which tests/conftest.py names. Each process has its own emulator with its own port and temporary state
folder, so that tests can run in parallel. With ``--dist loadgroup``, the tests that share a stack run in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from carousel_sync.aws.target import FUNCTION_ALIAS, Target, function_name
from carousel_sync.local_stack.stack import DeliveryMode, LocalStack

ONE_PROCESS: Final = pytest.mark.xdist_group("stack")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The stack with queue delivery."""
    yield from _deployed(tmp_path_factory, DeliveryMode.QUEUE)


@pytest.fixture(scope="session")
def direct_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The stack with direct delivery, on an emulator of its own."""
    yield from _deployed(tmp_path_factory, DeliveryMode.DIRECT)


@pytest.hookimpl(tryfirst=True)  # xdist adds the groups to the names of the tests.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests that use the same stack, so that it is deployed once and not in each process."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("xdist_group"):
            continue
        if "own_stack" in fixtures:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        elif not fixtures.isdisjoint({"stack", "direct_stack"}):
            item.add_marker(ONE_PROCESS)


def publish(target: Target) -> None:
    """Publish the function as it is now. Events are sent to the alias, which refers to a published version."""
    client, name = target.client("lambda"), function_name(target.stage)
    version = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name=FUNCTION_ALIAS, FunctionVersion=version)


def _deployed(tmp_path_factory: pytest.TempPathFactory, delivery_mode: DeliveryMode) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp(f"stack-{delivery_mode.value}")) as deployed:
        deployed.up(delivery_mode)
        yield deployed
