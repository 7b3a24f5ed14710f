"""Fixtures of the real engines, one of each per test process (every pytest-xdist worker has its own).

An engine that can't be had fails the tests that need it, with the command that installs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import boto3
import pytest

from tests.engines import java_engine
from tests.engines.java_engine import EngineUnavailable
from tests.engines.server_process import ServerNotStarted, ServerProcess, free_port, running

REGION: Final = "eu-west-1"
ACCESS_KEY: Final = "test"
SECRET_KEY: Final = "test"
_WAREHOUSE_BUCKET: Final = "warehouse"


@dataclass(frozen=True)
class IcebergRestServer:
    """The Iceberg REST server: its address, the location that its tables live under, and the S3 that holds them."""

    uri: str
    warehouse: str
    s3_endpoint: str


def emulator(folder: Path, *, verifies_signatures: bool = False) -> AbstractContextManager[ServerProcess]:
    """Run the AWS emulator, in memory. ``folder`` takes its log and temporary files.

    It takes any signature, unless it is told to verify those of its IAM users.
    """
    port = free_port()
    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "MINISTACK_REGION": REGION,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "AUTH": str(verifies_signatures).lower(),
    }
    command = [sys.executable, "-m", "ministack"]
    return running(
        "ministack", command, port=port, folder=folder, environment=environment, ready_path="/_ministack/ready"
    )


@pytest.fixture(scope="session")
def dynamodb_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of Amazon's DynamoDB Local, without tables."""
    with _started(java_engine.dynamodb_local(tmp_path_factory.mktemp("dynamodb-local"))) as process:
        yield process.url


@pytest.fixture(scope="session")
def emulator_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of the AWS emulator, with nothing in it."""
    with _started(emulator(tmp_path_factory.mktemp("emulator"))) as process:
        yield process.url


@pytest.fixture(scope="session")
def iceberg_rest_server(
    tmp_path_factory: pytest.TempPathFactory, emulator_endpoint: str
) -> Iterator[IcebergRestServer]:
    """Apache Iceberg's REST reference server, an empty catalog whose files are on the emulator's S3."""
    make_bucket(emulator_endpoint, _WAREHOUSE_BUCKET)
    warehouse = f"s3://{_WAREHOUSE_BUCKET}/"
    server = java_engine.iceberg_rest(
        tmp_path_factory.mktemp("iceberg-rest"),
        warehouse=warehouse,
        s3_endpoint=emulator_endpoint,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
    )
    with _started(server) as process:
        yield IcebergRestServer(uri=process.url, warehouse=warehouse, s3_endpoint=emulator_endpoint)


@contextmanager
def _started(server: AbstractContextManager[ServerProcess]) -> Iterator[ServerProcess]:
    with ExitStack() as stack:
        try:
            process = stack.enter_context(server)
        except (EngineUnavailable, ServerNotStarted) as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        yield process


def make_bucket(endpoint: str, name: str) -> None:
    """Create an S3 bucket on the emulator."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
