"""Fixtures of the real engines, one of each per test process (every pytest-xdist worker has its own).

An engine that is not available fails the tests that need it, and the message shows the command that installs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import boto3
import pytest

from testbed.emulator import ACCESS_KEY, REGION, SECRET_KEY, emulator
from testbed.server_process import ServerNotStarted
from tests.engines import java_engine, versitygw
from tests.engines.java_engine import EngineUnavailable

_WAREHOUSE_BUCKET: Final = "warehouse"

Server = TypeVar("Server")


@dataclass(frozen=True)
class IcebergRestServer:
    """Apache Iceberg's REST server: its address, the location of its tables, and the S3 endpoint that stores them."""

    uri: str
    warehouse: str
    s3_endpoint: str


@pytest.fixture(scope="session")
def dynamodb_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of Amazon's DynamoDB Local, without tables."""
    with started(java_engine.dynamodb_local(tmp_path_factory.mktemp("dynamodb-local"))) as process:
        yield process.url


@pytest.fixture(scope="session")
def emulator_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of the AWS emulator, empty."""
    with started(emulator(tmp_path_factory.mktemp("emulator"))) as process:
        yield process.url


@pytest.fixture(scope="session")
def versitygw_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of the S3 server versitygw, without buckets."""
    server = versitygw.versitygw(
        tmp_path_factory.mktemp("versitygw"), access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION
    )
    with started(server) as process:
        yield process.url


@pytest.fixture(scope="session")
def iceberg_rest_server(
    tmp_path_factory: pytest.TempPathFactory, versitygw_endpoint: str
) -> Iterator[IcebergRestServer]:
    """Apache Iceberg's REST reference server: an empty catalog whose files are in versitygw."""
    with _iceberg_rest(tmp_path_factory.mktemp("iceberg-rest"), versitygw_endpoint) as server:
        yield server


@pytest.fixture(scope="session")
def iceberg_rest_on_emulator(
    tmp_path_factory: pytest.TempPathFactory, emulator_endpoint: str
) -> Iterator[IcebergRestServer]:
    """The same server, whose files are in the emulator's S3: for a function that reaches all of AWS at one endpoint."""
    with _iceberg_rest(tmp_path_factory.mktemp("iceberg-rest-on-emulator"), emulator_endpoint) as server:
        yield server


@contextmanager
def _iceberg_rest(folder: Path, s3_endpoint: str) -> Iterator[IcebergRestServer]:
    make_bucket(s3_endpoint, _WAREHOUSE_BUCKET)
    warehouse = f"s3://{_WAREHOUSE_BUCKET}/"
    server = java_engine.iceberg_rest(
        folder,
        warehouse=warehouse,
        s3_endpoint=s3_endpoint,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
    )
    with started(server) as process:
        yield IcebergRestServer(uri=process.url, warehouse=warehouse, s3_endpoint=s3_endpoint)


@contextmanager
def started(server: AbstractContextManager[Server]) -> Iterator[Server]:
    """Start an engine. If it is not available or does not start, the test fails with that message alone."""
    with ExitStack() as stack:
        try:
            process = stack.enter_context(server)
        except (EngineUnavailable, ServerNotStarted) as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        yield process


def make_bucket(endpoint: str, name: str) -> None:
    """Create an S3 bucket on the emulator or on versitygw."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
