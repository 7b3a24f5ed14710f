"""The exact numbers of requests of an append and of a batch, counted by a proxy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from benchmarks.events import batch, envelopes, one_partition_batch, sales_of_one_partition
from benchmarks.handler_batch import our_handler
from benchmarks.latency_proxy import Passed
from benchmarks.stand import Stand, counted, latency_proxy, most_at_a_time
from benchmarks.writers import our_writer
from lambda_fn.ports import Landed

DELAY_MILLISECONDS = 100
WARM_COMMIT = {"s3 PUT": 3, "catalog POST": 1}
MULTIPART_FROM_BYTES = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def stand(emulator_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The emulator behind a proxy that counts requests."""
    server_port = int(emulator_endpoint.rpartition(":")[2])
    with latency_proxy(tmp_path_factory.mktemp("proxy"), server_port) as proxy:
        yield Stand(emulator_endpoint, proxy)


def dynamodb(passed: list[Passed]) -> Counter[str]:
    return Counter(one.action for one in passed if one.service == "dynamodb")


def table(passed: list[Passed]) -> Counter[str]:
    return counted([one for one in passed if one.service != "dynamodb"])


def test_a_warm_commit_is_three_parallel_uploads_and_one_commit(stand: Stand) -> None:
    writer = our_writer(stand, stand.stores())
    writer.append(sales_of_one_partition(2))
    stand.delay(DELAY_MILLISECONDS)
    writer.append(sales_of_one_partition(2))
    passed = stand.passed()
    uploads = [one for one in passed if one.service == "s3"]
    (commit,) = (one for one in passed if one.service == "catalog")
    assert counted(passed) == WARM_COMMIT
    assert most_at_a_time(uploads) == len(uploads)
    assert commit.arrived >= max(one.answered for one in uploads)


def test_a_cold_writer_also_requests_the_configuration_and_the_table(stand: Stand) -> None:
    stores = stand.stores()
    stand.delay(0)
    our_writer(stand, stores).append(sales_of_one_partition(1))
    assert counted(stand.passed()) == {**WARM_COMMIT, "catalog GET": 2}


def test_a_file_of_several_megabytes_is_one_request(stand: Stand) -> None:
    writer = our_writer(stand, stand.stores())
    writer.append(sales_of_one_partition(1))
    sales = sales_of_one_partition(3000)
    stand.delay(0)
    writer.append(sales)
    passed = stand.passed()
    assert counted(passed) == WARM_COMMIT
    assert MULTIPART_FROM_BYTES // 2 < max(one.body_bytes for one in passed) < MULTIPART_FROM_BYTES


def test_after_a_conflict_only_the_manifest_list_is_uploaded_again(stand: Stand) -> None:
    stores = stand.stores()
    writer, other = our_writer(stand, stores), our_writer(stand, stores)
    writer.append(sales_of_one_partition(1))
    other.append(sales_of_one_partition(1))
    stand.delay(0)
    result = writer.append(sales_of_one_partition(1))
    assert isinstance(result, Landed)
    assert result.conflicts == 1
    # The table and its newest manifest list are read; the data file and the manifest are already uploaded.
    assert counted(stand.passed()) == {"s3 PUT": 4, "s3 GET": 1, "catalog GET": 1, "catalog POST": 2}


def test_a_batch_of_500_sales(stand: Stand) -> None:
    handle = our_handler(stand, stand.stores())
    handle(batch(1))
    event = one_partition_batch(500)
    stand.delay(0)
    handle(event)
    passed = stand.passed()
    assert dynamodb(passed).total() <= 70
    assert set(dynamodb(passed)) <= {"BatchExecuteStatement", "BatchGetItem", "BatchWriteItem"}
    assert table(passed) == WARM_COMMIT


def test_a_redelivered_batch_writes_nothing(stand: Stand) -> None:
    handle = our_handler(stand, stand.stores())
    event = batch(100)
    handle(event)
    stand.delay(0)
    handle(event)
    passed = stand.passed()
    assert dynamodb(passed) == {"BatchExecuteStatement": 4, "BatchGetItem": 1}
    assert not table(passed)


def test_one_direct_event(stand: Stand) -> None:
    handle = our_handler(stand, stand.stores())
    first, second = envelopes(2)
    handle(first)
    stand.delay(0)
    handle(second)
    passed = stand.passed()
    assert dynamodb(passed) == {"BatchExecuteStatement": 1, "BatchGetItem": 1, "BatchWriteItem": 2}
    assert table(passed) == WARM_COMMIT
