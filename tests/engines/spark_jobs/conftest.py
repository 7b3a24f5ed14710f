"""Fixtures: stores of their own for each test, a fault proxy, and the job with the project as a wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.stores import Stores, create_stores
from tests.engines.spark_jobs.job import Job, Wheel
from tests.faults.harness.fault_proxy import FaultProxy

JobOf = Callable[[Stores], Job]
"""Returns the job on these stores."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """The project, built and installed once."""
    return Wheel.install(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def stores(emulator_endpoint: str) -> Stores:
    """Empty stores."""
    return create_stores(emulator_endpoint)


@pytest.fixture
def proxy(emulator_endpoint: str) -> Iterator[FaultProxy]:
    """A proxy in front of the emulator."""
    with FaultProxy(emulator_endpoint) as started:
        yield started


@pytest.fixture
def job(wheel: Wheel, stores: Stores, tmp_path: Path) -> Job:
    """The job on the stores."""
    return Job(wheel, stores, tmp_path)


@pytest.fixture
def watched_job(wheel: Wheel, stores: Stores, tmp_path: Path, proxy: FaultProxy) -> Job:
    """The job on the stores, whose requests to the catalog and to DynamoDB go through the proxy."""
    return Job(wheel, stores, tmp_path, proxy.url)
