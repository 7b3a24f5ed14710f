"""The number of requests that an append and a batch take, counted on the wire. It does not depend on the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lambda_fn.ports import Landed
from lambda_fn.settings import GroupCommitMode
from testbed.function import TableWriter, function_handler
from testbed.latency_proxy import RecordedRequest
from testbed.proxied_emulator import ProxiedEmulator, counted, latency_proxy, max_concurrent
from testbed.sales import batch, envelopes, one_partition_batch, one_partition_sales
from testbed.stores import Stores

DELAY_MILLISECONDS = 100
WARM_COMMIT = {"s3 PUT": 3, "catalog POST": 1}
MULTIPART_FROM_BYTES = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def emulator(emulator_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedEmulator]:
    """The emulator, with the recording proxy in front of it."""
    server_port = int(emulator_endpoint.rpartition(":")[2])
    with latency_proxy(tmp_path_factory.mktemp("proxy"), server_port) as proxy:
        yield ProxiedEmulator(emulator_endpoint, proxy)


@pytest.fixture
def stores(emulator: ProxiedEmulator) -> Stores:
    return emulator.create_stores()


def dynamodb(requests: list[RecordedRequest]) -> Counter[str]:
    return Counter(request.action for request in requests if request.service == "dynamodb")


def table(requests: list[RecordedRequest]) -> Counter[str]:
    return counted([request for request in requests if request.service != "dynamodb"])


def test_a_warm_commit_is_three_parallel_uploads_and_one_commit(emulator: ProxiedEmulator, stores: Stores) -> None:
    writer = TableWriter(stores.settings(emulator.proxy))
    writer.append(one_partition_sales(2))
    emulator.delay(DELAY_MILLISECONDS)
    writer.append(one_partition_sales(2))
    requests = emulator.requests()
    uploads = [request for request in requests if request.service == "s3"]
    (commit,) = (request for request in requests if request.service == "catalog")
    assert counted(requests) == WARM_COMMIT
    assert max_concurrent(uploads) == len(uploads)
    assert commit.arrived >= max(request.answered for request in uploads)


def test_a_cold_writer_also_requests_the_configuration_and_the_table(emulator: ProxiedEmulator, stores: Stores) -> None:
    emulator.delay(0)
    TableWriter(stores.settings(emulator.proxy)).append(one_partition_sales(1))
    # The look at the commit queue's lease is the process's first.
    assert counted(emulator.requests()) == {**WARM_COMMIT, "catalog GET": 2, "dynamodb BatchGetItem": 1}


def test_a_file_of_several_megabytes_is_one_request(emulator: ProxiedEmulator, stores: Stores) -> None:
    writer = TableWriter(stores.settings(emulator.proxy))
    writer.append(one_partition_sales(1))
    sales = one_partition_sales(2000)
    emulator.delay(0)
    writer.append(sales)
    requests = emulator.requests()
    assert counted(requests) == WARM_COMMIT
    assert MULTIPART_FROM_BYTES // 2 < max(len(request.body) for request in requests) < MULTIPART_FROM_BYTES


def test_after_a_lost_race_only_the_manifest_list_is_uploaded_again(emulator: ProxiedEmulator, stores: Stores) -> None:
    settings = replace(stores.settings(emulator.proxy), group_commit=GroupCommitMode.OFF)
    writer, other = TableWriter(settings), TableWriter(settings)
    writer.append(one_partition_sales(1))
    other.append(one_partition_sales(1))
    emulator.delay(0)
    result = writer.append(one_partition_sales(1))
    assert isinstance(result, Landed)
    assert result.conflicts == 1
    # The table and its newest manifest list are read again. The data file and the manifest are already uploaded.
    assert counted(emulator.requests()) == {"s3 PUT": 4, "s3 GET": 1, "catalog GET": 1, "catalog POST": 2}


def test_after_a_lost_race_a_writer_leads_a_group(emulator: ProxiedEmulator, stores: Stores) -> None:
    writer, other = (TableWriter(stores.settings(emulator.proxy)) for _ in range(2))
    writer.append(one_partition_sales(1))
    other.append(one_partition_sales(1))
    emulator.delay(0)
    result = writer.append(one_partition_sales(1))
    assert isinstance(result, Landed)
    assert (result.conflicts, result.group_size) == (1, 1)
    # It reads the lease, takes it, reads the queue, and frees the lease. The head is read after the queue once more.
    requests = emulator.requests()
    assert dynamodb(requests) == {"BatchGetItem": 1, "BatchExecuteStatement": 2, "Query": 1}
    assert table(requests) == {"s3 PUT": 4, "s3 GET": 1, "catalog GET": 2, "catalog POST": 2}


def test_requests_of_a_batch_of_500_sales(emulator: ProxiedEmulator, stores: Stores) -> None:
    handle = function_handler(stores.settings(emulator.proxy))
    handle(batch(1))
    event = one_partition_batch(500)
    emulator.delay(0)
    handle(event)
    requests = emulator.requests()
    assert dynamodb(requests).total() <= 70
    assert set(dynamodb(requests)) <= {"BatchExecuteStatement", "BatchGetItem", "BatchWriteItem"}
    assert table(requests) == WARM_COMMIT


def test_a_redelivered_batch_writes_nothing(emulator: ProxiedEmulator, stores: Stores) -> None:
    handle = function_handler(stores.settings(emulator.proxy))
    event = batch(100)
    handle(event)
    emulator.delay(0)
    handle(event)
    requests = emulator.requests()
    assert dynamodb(requests) == {"BatchExecuteStatement": 4, "BatchGetItem": 1}
    assert not table(requests)


def test_requests_of_one_direct_event(emulator: ProxiedEmulator, stores: Stores) -> None:
    handle = function_handler(stores.settings(emulator.proxy))
    first, second = envelopes(2)
    handle(first)
    emulator.delay(0)
    handle(second)
    requests = emulator.requests()
    assert dynamodb(requests) == {"BatchExecuteStatement": 1, "BatchGetItem": 1, "BatchWriteItem": 2}
    assert table(requests) == WARM_COMMIT
