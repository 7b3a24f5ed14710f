"""The adapters of DynamoDB over each of its stand-ins: the fake, the emulator, and Amazon's DynamoDB Local."""

from __future__ import annotations

import uuid

import boto3
import pytest
from botocore.config import Config

from lambda_fn.guard.guard_table import guard_table
from lambda_fn.json_requests import DynamoDBRequests
from lambda_fn.projection.projection_table import projection_table
from lambda_fn.runtime.parallel import InTurn, Threads
from testbed.dynamodb_tables import create_tables
from testbed.emulator import ACCESS_KEY, REGION, SECRET_KEY
from tests.contract.dynamodb.dynamodb_world import TIMEOUTS, Store, World
from tests.fakes.dynamodb import FakeDynamoDB

_THREADS = Threads(16)


_EMULATOR = pytest.param("emulator_endpoint", id="emulator")
_DYNAMODB_LOCAL = pytest.param("dynamodb_local", id="dynamodb-local", marks=pytest.mark.engine)


@pytest.fixture(scope="session", params=["fake", _EMULATOR, _DYNAMODB_LOCAL])
def store(request: pytest.FixtureRequest) -> Store:
    return _fake() if request.param == "fake" else _engine(request.getfixturevalue(request.param))


@pytest.fixture(scope="session", params=["fake", _DYNAMODB_LOCAL])
def strict_store(request: pytest.FixtureRequest) -> Store:
    """Those that refuse all that DynamoDB refuses; the emulator lets some of it pass."""
    return _fake() if request.param == "fake" else _engine(request.getfixturevalue(request.param))


@pytest.fixture(scope="session", params=[_EMULATOR, _DYNAMODB_LOCAL])
def store_with_indexes(request: pytest.FixtureRequest) -> Store:
    return _engine(request.getfixturevalue(request.param))


def _fake() -> Store:
    guard_name, projection_name = _fresh_names()
    return Store(FakeDynamoDB(guard_table(guard_name), projection_table(projection_name)), guard_name, projection_name)


def _engine(endpoint: str) -> Store:
    sdk = boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )
    names = _fresh_names()
    create_tables(sdk, *names)
    return Store(DynamoDBRequests(REGION, endpoint, *TIMEOUTS, connections=40), *names, sdk)


def _fresh_names() -> tuple[str, str]:
    suffix = uuid.uuid4().hex
    return f"guard-{suffix}", f"projection-{suffix}"


@pytest.fixture
def world(store: Store) -> World:
    """Requests run side by side."""
    return World(store, _THREADS)


@pytest.fixture
def world_in_turn(store: Store) -> World:
    """Requests run one after the other, so that it is certain which of them meets a planned fault."""
    return World(store, InTurn())


@pytest.fixture
def world_with_indexes(store_with_indexes: Store) -> World:
    """The fake has no indexes: lambda_fn never reads them."""
    return World(store_with_indexes, _THREADS)
