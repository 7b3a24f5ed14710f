"""A month's bill, compared with numbers that were calculated by hand from round sizes and the list prices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carousel_sync.planning.bill import Bill, Workload, bill
from carousel_sync.planning.bytes_per_sale import SaleSizes, measure, write_units
from carousel_sync.planning.prices import LIST_PRICES
from lambda_fn.ports import Metric, Reason

GB = 1024**3

SIZES = SaleSizes(
    event_bytes=11_000,
    row_bytes=4_000,
    item_bytes=11_000,
    gsi1_bytes=600,
    gsi2_bytes=11_000,
    guard_bytes=340,
    item_units=11,
    gsi1_units=1,
    gsi2_units=11,
    claim_units=1,
    completion_units=1,
)
MONTH = Workload(
    events=1_000_000,
    sizes=SIZES,
    sales_per_commit=500,
    lambda_milliseconds=2_000,
    memory_mb=512,
    log_bytes_per_batch=40_000,
    partitions_per_commit=3,
    snapshot_retention_hours=48,
)


def quantities(bill: Bill) -> dict[tuple[str, str], float]:
    return {(line.service, line.what): line.quantity for line in bill.lines}


def dollars(bill: Bill) -> dict[tuple[str, str], float]:
    return {(line.service, line.what): line.usd for line in bill.lines}


def test_eventbridge_and_sqs() -> None:
    lines = dollars(bill(MONTH, LIST_PRICES))
    assert lines["EventBridge", "events published"] == pytest.approx(1.00)
    assert lines["SQS", "messages sent to the queue"] == pytest.approx(0.40)
    # Ten messages are 110,000 bytes, two chunks of 65,536: 100,000 requests count twice, $0.08.
    assert lines["SQS", "receives, ten messages each"] == pytest.approx(0.08)
    assert lines["SQS", "deletes, ten messages each"] == pytest.approx(0.04)
    # Five pollers, three polls a minute, 43,200 minutes: 648,000 requests, $0.2592.
    assert lines["SQS", "polls that find nothing, at most"] == pytest.approx(0.2592)


def test_an_event_over_64_kb_counts_twice() -> None:
    large = replace(MONTH, sizes=replace(SIZES, event_bytes=65_537))
    lines = quantities(bill(large, LIST_PRICES))
    assert lines["EventBridge", "events published"] == 2_000_000
    assert lines["SQS", "messages sent to the queue"] == 2_000_000


def test_lambda() -> None:
    lines = dollars(bill(MONTH, LIST_PRICES))
    # 2,000 batches at $0.20 a million: $0.0004.
    assert lines["Lambda", "invocations, one a batch"] == pytest.approx(0.0004)
    # 2,000 batches x 2 s x half a GB = 2,000 GB-s at $13.3334 a million: $0.0266668.
    assert lines["Lambda", "duration times memory"] == pytest.approx(0.0266668)


def test_dynamodb_writes_and_reads() -> None:
    lines = dollars(bill(MONTH, LIST_PRICES))
    assert lines["DynamoDB", "guard: claim and completion"] == pytest.approx(2 * 0.705)
    assert lines["DynamoDB", "projection: the item"] == pytest.approx(11 * 0.705)
    assert lines["DynamoDB", "projection: index by tenant and date"] == pytest.approx(0.705)
    assert lines["DynamoDB", "projection: index by embedding shard"] == pytest.approx(11 * 0.705)
    assert lines["DynamoDB", "look-ups before the commit"] == pytest.approx(0.1415)


def test_dynamodb_storage_adds_a_hundred_bytes_to_each_item() -> None:
    lines = dollars(bill(MONTH, LIST_PRICES))
    # A million items of 11,100 bytes, and entries of 700 and 11,100 bytes, at $0.283; recovery at $0.22.
    assert lines["DynamoDB", "storage: items"] == pytest.approx(0.283 * 11_100e6 / GB)
    assert lines["DynamoDB", "storage: indexes"] == pytest.approx(0.283 * 11_800e6 / GB)
    assert lines["DynamoDB", "point-in-time recovery"] == pytest.approx(0.22 * 11_100e6 / GB)
    # A tenth of the month's claims, three days of thirty, of 440 bytes.
    assert lines["DynamoDB", "storage: guard"] == pytest.approx(0.283 * 100_000 * 440 / GB)


def test_the_projection_keeps_two_years_and_the_table_keeps_everything() -> None:
    one_month, two_years, four_years = (
        quantities(bill(replace(MONTH, months_stored=months), LIST_PRICES)) for months in (1, 24, 48)
    )
    items = ("DynamoDB", "storage: items")
    assert two_years[items] == pytest.approx(24 * one_month[items])
    assert four_years[items] == two_years[items]
    rows = ("S3 Tables", "storage")
    # 4 GB a month (10^9 bytes). Files that compaction replaced stay for 2 + 13 of 30 days: half a month more.
    assert [month[rows] for month in (one_month, two_years, four_years)] == [
        pytest.approx(months * 4e9 / GB) for months in (1.5, 24.5, 48.5)
    ]


def test_s3_tables() -> None:
    month = bill(MONTH, LIST_PRICES)
    lines = dollars(month)
    # 2,000 commits: 3 data files, manifest, manifest list, and the commit: 12,000 requests at $0.005 a thousand.
    assert lines["S3 Tables", "uploads and commits"] == pytest.approx(0.06)
    assert lines["S3 Tables", "reads, an allowance of one a commit"] == pytest.approx(0.0008)
    assert lines["S3 Tables", "compaction, by file"] == pytest.approx(6 * 0.002)
    assert lines["S3 Tables", "compaction, by GB"] == pytest.approx(0.005 * 4e9 / GB)
    # Compacted: 4e9 bytes in files of 512 MiB, 7.45 of them. For half a month: 6,000 data files, and 3 of metadata for
    # each of 2,000 commits.
    assert quantities(month)["S3 Tables", "objects monitored"] == pytest.approx(4e9 / (512 * 1024**2) + 6_000)


def test_direct_delivery_has_an_invocation_a_file_and_a_manifest_for_each_sale() -> None:
    direct = replace(MONTH, direct=True, sales_per_commit=10, log_bytes_per_batch=2_000, partitions_per_commit=1)
    lines = quantities(bill(direct, LIST_PRICES))
    assert [what for service, what in lines if service == "SQS"] == ["polls that find nothing"]
    assert lines["Lambda", "invocations, one a sale"] == 1_000_000
    # 1,000,000 sales of 2 s in half a GB.
    assert lines["Lambda", "duration times memory"] == pytest.approx(1_000_000)
    # A data file and a manifest for each sale; a manifest list and the commit for each ten.
    assert lines["S3 Tables", "uploads and commits"] == pytest.approx(2_200_000)
    assert lines["S3 Tables", "compaction, by file"] == 1_000_000
    assert lines["CloudWatch", "logs taken in"] == pytest.approx(2e9 / GB)


def test_direct_delivery_pays_for_the_commit_queue_while_commits_are_shared() -> None:
    shared = quantities(bill(replace(MONTH, direct=True, sales_per_commit=10), LIST_PRICES))
    # An entry of one unit is put and deleted. A group changes the lease twice and is refused three times, 2 units each.
    assert shared["DynamoDB", "commit queue: entries and lease"] == pytest.approx(1e6 * (2 + 5 * 2 / 10))
    # Five looks at a lease of up to 4 KB; ten entries of 578 bytes are two read units.
    assert shared["DynamoDB", "commit queue: looks and reads"] == pytest.approx(1e6 * (5 + 2 / 10))
    alone = quantities(bill(replace(MONTH, direct=True, sales_per_commit=1), LIST_PRICES))
    assert not [what for _, what in alone if what.startswith("commit queue")]


def test_cloudwatch() -> None:
    lines = dollars(bill(MONTH, LIST_PRICES))
    # 2,000 batches of 40,000 bytes.
    assert lines["CloudWatch", "logs taken in"] == pytest.approx(0.57 * 80e6 / GB)
    assert lines["CloudWatch", "logs kept"] == pytest.approx(0.03 * 80e6 / GB)
    # Each metric, and each reason of a rejection, is a time series at $0.30; thirteen alarms are $0.10 each.
    assert lines["CloudWatch", "custom metrics"] == pytest.approx((len(Metric) + len(Reason)) * 0.30)
    assert lines["CloudWatch", "alarms"] == pytest.approx(1.30)


def test_the_sums_match_the_lines() -> None:
    month = bill(MONTH, LIST_PRICES)
    assert month.usd == pytest.approx(sum(month.by_service.values()))
    assert month.by_service["Lambda"] == pytest.approx(0.0004 + 0.0266668)
    assert month.share("Lambda") == pytest.approx((0.0004 + 0.0266668) / month.usd)
    assert list(month.by_service) == ["EventBridge", "SQS", "Lambda", "DynamoDB", "S3 Tables", "CloudWatch"]


def test_the_embedding_in_an_index_doubles_the_writes() -> None:
    with_it, without = measure(1024), measure(0)
    # Eleven KB of JSON text take 12 units, in the table and in the index; without it everything fits into 1.
    assert (with_it.item_units, with_it.gsi1_units, with_it.gsi2_units) == (12, 1, 12)
    assert (without.item_units, without.gsi1_units, without.gsi2_units) == (1, 1, 0)
    assert (with_it.claim_units, with_it.completion_units) == (1, 1)
    assert without.gsi2_bytes == 0
    lines = dollars(bill(replace(MONTH, sizes=without), LIST_PRICES))
    assert lines["DynamoDB", "projection: index by embedding shard"] == 0


def test_write_units_round_up() -> None:
    assert [write_units(size) for size in (1, 1024, 1025, 2048)] == [1, 1, 2, 2]
