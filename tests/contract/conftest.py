"""The adapters of DynamoDB over each of its stand-ins: the fake, the emulator, and Amazon's DynamoDB Local."""

from __future__ import annotations

import uuid

import boto3
import pytest
from botocore.config import Config

from lambda_fn.guard.dynamodb import guard_table
from lambda_fn.parallel import InTurn, Threads
from lambda_fn.projection.dynamodb import projection_table
from tests.contract.dynamodb_tables import create_tables
from tests.contract.dynamodb_world import Store, World
from tests.engines.fixtures import ACCESS_KEY, REGION, SECRET_KEY
from tests.fakes.dynamodb import FakeDynamoDB

_THREADS = Threads(16)


@pytest.fixture(
    scope="session",
    params=["fake", "emulator_endpoint", pytest.param("dynamodb_local", marks=pytest.mark.engine)],
    ids=["fake", "emulator", "dynamodb-local"],
)
def store(request: pytest.FixtureRequest) -> Store:
    suffix = uuid.uuid4().hex
    guard_name, projection_name = f"guard-{suffix}", f"projection-{suffix}"
    if request.param == "fake":
        fake = FakeDynamoDB(guard_table(guard_name), projection_table(projection_name))
        return Store(fake, guard_name, projection_name, has_indexes=False)
    client = boto3.client(
        "dynamodb",
        endpoint_url=request.getfixturevalue(request.param),
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=40),
    )
    create_tables(client, guard_name, projection_name)
    return Store(client, guard_name, projection_name, has_indexes=True)


@pytest.fixture
def world(store: Store) -> World:
    """Requests run side by side."""
    return World(store, _THREADS)


@pytest.fixture
def world_in_turn(store: Store) -> World:
    """Requests run one after the other, so that it is certain which of them meets a planned fault."""
    return World(store, InTurn())
