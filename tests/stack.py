"""Fixtures: the embedded stack, deployed once for each test process that asks for it, in each delivery mode.

A pytest plugin module; tests/conftest.py names it. Every process has its own emulator on its own port, with its state
in its own temporary folder, so that tests run side by side.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carousel_sync.local_stack.stack import DeliveryMode, LocalStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The system with queue delivery: LocalStack.target() has clients, environment, settings and the table."""
    yield from _deployed(tmp_path_factory, DeliveryMode.QUEUE)


@pytest.fixture(scope="session")
def direct_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The system with direct delivery, on an emulator of its own."""
    yield from _deployed(tmp_path_factory, DeliveryMode.DIRECT)


def _deployed(tmp_path_factory: pytest.TempPathFactory, delivery_mode: DeliveryMode) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp(f"stack-{delivery_mode.value}")) as deployed:
        deployed.up(delivery_mode)
        yield deployed
