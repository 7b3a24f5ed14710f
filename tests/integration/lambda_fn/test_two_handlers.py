"""Two handlers that process the same events at the same time leave one row and one item for each."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from carousel_sync.local_stack.stack import LocalStack
from lambda_fn.settings import Settings
from lambda_fn.wiring import build
from tests.builders import event

SALES = 40
ROUNDS = 20


def batch(tenant: str, order: range) -> dict[str, Any]:
    records = [
        {
            "messageId": f"message-{number}",
            "body": json.dumps(event(tenantId=tenant, saleId=f"sale-{number}")),
            "eventSource": "aws:sqs",
            "attributes": {},
        }
        for number in order
    ]
    return {"Records": records}


def deliver_until_acknowledged(settings: Settings, given: dict[str, Any]) -> int:
    """Deliver a batch repeatedly, as a queue does, and return the number of deliveries."""
    application = build(settings)
    for number in range(1, ROUNDS + 1):
        answer = application.handle(given, None)
        given_back = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        given = {"Records": [record for record in given["Records"] if record["messageId"] in given_back]}
        if not given["Records"]:
            return number
    raise AssertionError(f"{len(given['Records'])} events were still given back after {ROUNDS} deliveries")


def test_two_handlers_on_the_same_events(stack: LocalStack) -> None:
    target = stack.target()
    settings = replace(target.settings, catalog=target.catalog_config)
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    batches = [batch(tenant, range(SALES)), batch(tenant, range(SALES - 1, -1, -1))]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda given: deliver_until_acknowledged(settings, given), batches))
    expected = sorted(f"sale-{number}" for number in range(SALES))
    rows = target.load_table().scan(f"tenant_id = '{tenant}'", selected_fields=("sale_id",)).to_arrow()
    assert sorted(rows["sale_id"].to_pylist()) == expected
    items = target.client("dynamodb").query(
        TableName=settings.projection_table,
        IndexName="GSI1",
        KeyConditionExpression="GSI1PK = :tenant",
        ExpressionAttributeValues={":tenant": {"S": f"TENANT#{tenant}"}},
    )["Items"]
    assert sorted(item["saleId"]["S"] for item in items) == expected
