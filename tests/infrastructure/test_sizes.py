"""The calculators' constants match template.yaml."""

from __future__ import annotations

import json
from typing import Any

import cfnlint.decode  # type: ignore[import-untyped]
import pytest

from carousel_sync.bench.worker import INVOCATION_SECONDS
from carousel_sync.planning.bill import ALARMS, REMOVAL_DAYS
from carousel_sync.planning.bytes_per_sale import LEFT_OUT_OF_GSI1
from carousel_sync.planning.capacity import LONGEST_BATCH_SECONDS, REDELIVERY_HOURS
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.projection.item import item_of
from lambda_fn.redelivery import wait_seconds
from tests import builders

TEMPLATE = PROJECT_ROOT / "template.yaml"


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    decoded, problems = cfnlint.decode.decode(str(TEMPLATE))
    assert not problems
    found: dict[str, Any] = json.loads(json.dumps(decoded))["Resources"]
    return found


def test_the_attributes_left_out_of_the_index_by_tenant_and_date(resources: dict[str, Any]) -> None:
    (gsi1, gsi2) = resources["ProjectionTable"]["Properties"]["GlobalSecondaryIndexes"]
    carried = {"PK", "SK", "GSI1PK", "GSI1SK", *gsi1["Projection"]["NonKeyAttributes"]}
    every_fact = builders.sale(
        condition="c",
        description="d",
        vendor_id="v",
        image_s3_key="i",
        embedding_id="e",
        days_to_sell=1,
        embedding=builders.embedding(2, 1),
        currency="EUR",
    )
    assert item_of(every_fact).keys() - carried == LEFT_OUT_OF_GSI1
    assert gsi2["Projection"] == {"ProjectionType": "ALL"}


def test_the_times(resources: dict[str, Any]) -> None:
    assert resources["SyncFunction"]["Properties"]["Timeout"] == INVOCATION_SECONDS == 2 * LONGEST_BATCH_SECONDS
    queue = resources["BufferQueue"]["Properties"]
    deliveries = range(1, queue["RedrivePolicy"]["maxReceiveCount"] + 1)
    waits = [wait_seconds({"attributes": {"ApproximateReceiveCount": str(number)}}) for number in deliveries]
    assert 5 * 3600 < sum(waits) + len(waits) * INVOCATION_SECONDS <= REDELIVERY_HOURS * 3600
    removal = resources["TableBucket"]["Properties"]["UnreferencedFileRemoval"]
    assert removal["UnreferencedDays"] + removal["NoncurrentDays"] == REMOVAL_DAYS


def test_the_number_of_alarms(resources: dict[str, Any]) -> None:
    alarms = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) == ALARMS
    assert all("MetricName" in alarm and "Metrics" not in alarm for alarm in alarms)
