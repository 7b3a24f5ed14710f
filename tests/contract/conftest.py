"""The DynamoDB adapters over each stand-in: the fake, the emulator, and Amazon's DynamoDB Local."""

from __future__ import annotations

import uuid

import pytest

from lambda_fn.aws.clients import dynamodb_client
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.projection.projection_table import projection_table
from lambda_fn.runtime.parallel import Threads
from testbed.dynamodb.tables import create_tables
from tests.contract.dynamodb.dynamodb_world import READ_TIMEOUT_SECONDS, Store, World
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.parallel import InTurn
from tests.fakes.settings import client_settings

_THREADS = Threads(16)


_EMULATOR = pytest.param("emulator_endpoint", id="emulator")
_DYNAMODB_LOCAL = pytest.param("dynamodb_local", id="dynamodb-local", marks=pytest.mark.engine)


@pytest.fixture(scope="session", params=["fake", _EMULATOR, _DYNAMODB_LOCAL])
def store(request: pytest.FixtureRequest) -> Store:
    return _fake() if request.param == "fake" else _engine(request.getfixturevalue(request.param))


@pytest.fixture(scope="session", params=["fake", _DYNAMODB_LOCAL])
def strict_store(request: pytest.FixtureRequest) -> Store:
    """The stand-ins that refuse everything that DynamoDB refuses. The emulator is more lenient."""
    return _fake() if request.param == "fake" else _engine(request.getfixturevalue(request.param))


@pytest.fixture(scope="session", params=[_EMULATOR, _DYNAMODB_LOCAL])
def store_with_indexes(request: pytest.FixtureRequest) -> Store:
    return _engine(request.getfixturevalue(request.param))


@pytest.fixture(scope="session", params=["memory", "fake", _EMULATOR, _DYNAMODB_LOCAL])
def queue_store(request: pytest.FixtureRequest) -> Store | None:
    """What a commit queue is in. None stands for the queue in memory."""
    if request.param == "memory":
        return None
    return _fake() if request.param == "fake" else _engine(request.getfixturevalue(request.param))


def _fake() -> Store:
    guard_name, projection_name = _fresh_names()
    return Store(FakeDynamoDB(guard_table(guard_name), projection_table(projection_name)), guard_name, projection_name)


def _engine(endpoint: str) -> Store:
    client = dynamodb_client(client_settings(endpoint, read_timeout_seconds=READ_TIMEOUT_SECONDS), connections=40)
    names = _fresh_names()
    create_tables(client, *names)
    return Store(client, *names)


def _fresh_names() -> tuple[str, str]:
    suffix = uuid.uuid4().hex
    return f"guard-{suffix}", f"projection-{suffix}"


@pytest.fixture
def world(store: Store) -> World:
    """Requests run in parallel."""
    return World(store, _THREADS)


@pytest.fixture
def world_in_turn(store: Store) -> World:
    """Requests run one after the other, so that the test controls which one meets a planned fault."""
    return World(store, InTurn())


@pytest.fixture
def world_with_indexes(store_with_indexes: Store) -> World:
    """Without the fake, which has no indexes: lambda_fn never reads them."""
    return World(store_with_indexes, _THREADS)
