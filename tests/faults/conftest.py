"""Fixtures: one world for each test process, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.harness.fault_proxy import FaultProxy
from tests.faults.harness.world import World


@pytest.fixture(scope="session")
def world(emulator_endpoint: str) -> World:
    """Tables and a queue on the emulator. Tests share them, under tenants of their own."""
    return World.create(emulator_endpoint)


@pytest.fixture(scope="session")
def proxy(emulator_endpoint: str) -> Iterator[FaultProxy]:
    """A proxy in front of the emulator."""
    with FaultProxy(emulator_endpoint) as started:
        yield started
