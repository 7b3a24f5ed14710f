"""The proxy that benchmarks measure through: its DynamoDB in memory, and the time of a commit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from testbed.function import function_handler
from testbed.proxied_emulator import ProxiedEmulator, latency_proxy
from testbed.sales import envelopes
from testbed.stores import client

COMMIT_MILLISECONDS = 600


@pytest.fixture(scope="module")
def emulator(emulator_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedEmulator]:
    """The emulator behind a proxy that answers DynamoDB's requests itself."""
    server_port = int(emulator_endpoint.rpartition(":")[2])
    with latency_proxy(tmp_path_factory.mktemp("proxy"), server_port, dynamodb_in_memory=True) as proxy:
        yield ProxiedEmulator(emulator_endpoint, proxy, dynamodb_in_memory=True)


def test_the_function_sends_the_same_requests_to_a_dynamodb_in_memory(emulator: ProxiedEmulator) -> None:
    stores = emulator.create_stores()
    handle = function_handler(stores.settings(emulator.proxy))
    first, second = envelopes(2, 4)
    handle(first)
    emulator.delay(0)
    handle(second)
    dynamodb = {"dynamodb BatchExecuteStatement": 1, "dynamodb BatchGetItem": 1, "dynamodb BatchWriteItem": 2}
    assert emulator.counts() == {**dynamodb, "s3 PUT": 3, "catalog POST": 1}
    emulator.delay(0)
    handle(second)
    assert emulator.counts() == {"dynamodb BatchExecuteStatement": 1, "dynamodb BatchGetItem": 1}


def test_the_emulator_has_no_tables_of_the_dynamodb_in_memory(emulator: ProxiedEmulator) -> None:
    stores = emulator.create_stores()
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client("dynamodb", emulator.server).describe_table(TableName=stores.guard_table)


def test_what_is_unknown_is_refused(emulator: ProxiedEmulator) -> None:
    with pytest.raises(ClientError, match="UnknownOperationException"):
        client("dynamodb", emulator.proxy).list_tables()


def test_a_commit_takes_its_own_time(emulator: ProxiedEmulator) -> None:
    handle = function_handler(emulator.create_stores().settings(emulator.proxy))
    first, second = envelopes(2, 4)
    handle(first)
    emulator.delay(0, COMMIT_MILLISECONDS)
    handle(second)
    (commit,) = (request for request in emulator.requests() if request.service == "catalog")
    emulator.delay(0)
    assert commit.answered - commit.arrived >= COMMIT_MILLISECONDS / 1000
