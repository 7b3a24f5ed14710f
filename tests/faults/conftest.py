"""Fixtures: stores on the emulator, a fault proxy in front of it, and the seed of random harnesses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.harness.fault_proxy import FaultProxy
from tests.faults.harness.seed import seed_from_environment
from tests.faults.harness.stores_under_test import StoresUnderTest


@pytest.fixture(scope="session")
def stores(emulator_endpoint: str) -> StoresUnderTest:
    """Stores on the emulator. Tests share them, and each uses its own tenants."""
    return StoresUnderTest.create(emulator_endpoint)


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of random harnesses: $FAULTS_SEED, or else the same each time."""
    return seed_from_environment()


@pytest.fixture(scope="session")
def proxy(emulator_endpoint: str) -> Iterator[FaultProxy]:
    """A proxy in front of the emulator."""
    with FaultProxy(emulator_endpoint) as started:
        yield started
