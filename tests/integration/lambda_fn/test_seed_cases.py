"""The nine acceptance cases, on the tables of the embedded stack."""

from __future__ import annotations

import json
import uuid
from array import array
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from carousel_sync.aws.target import Target
from carousel_sync.local_stack.stack import LocalStack
from lambda_fn.errors import SaleNotCommitted
from lambda_fn.projection.item import vector_of_json
from lambda_fn.runtime.retry import SystemClock
from lambda_fn.settings import Settings
from lambda_fn.wiring import build
from tests.builders import event

Handle = Callable[[Any], dict[str, Any]]

HOUR_SECONDS = 3600.0


class LaterClock(SystemClock):
    """The machine's clock, an hour ahead: all leases have expired."""

    def now(self) -> float:
        return super().now() + HOUR_SECONDS


@pytest.fixture
def target(stack: LocalStack) -> Target:
    return stack.target()


@pytest.fixture
def settings(target: Target) -> Settings:
    return replace(target.settings, catalog=target.catalog_config)


@pytest.fixture
def handle(settings: Settings) -> Handle:
    """The application in this process, with the deployed function's settings, for one event at a time."""
    application = build(settings)
    return lambda given: application.handle(given, None)


def new_tenant() -> str:
    return f"tenant-{uuid.uuid4().hex[:12]}"


def rows_of(target: Target, tenant: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = target.load_table().scan(f"tenant_id = '{tenant}'").to_arrow().to_pylist()
    return rows


def items_of(target: Target, settings: Settings, tenant: str) -> list[dict[str, Any]]:
    """Return the tenant's items, read through the tenant's index and then from the table itself."""
    client = target.client("dynamodb")
    found = client.query(
        TableName=settings.projection_table,
        IndexName="GSI1",
        KeyConditionExpression="GSI1PK = :tenant",
        ExpressionAttributeValues={":tenant": {"S": f"TENANT#{tenant}"}},
    )["Items"]
    keys = [{"PK": item["PK"], "SK": item["SK"]} for item in found]
    return [client.get_item(TableName=settings.projection_table, Key=key, ConsistentRead=True)["Item"] for key in keys]


def test_1_dual_write(handle: Handle, target: Target, settings: Settings) -> None:
    tenant = new_tenant()
    answer = handle(event(tenantId=tenant))
    assert answer == {"statusCode": 200, "body": "Event processed successfully"}
    (row,) = rows_of(target, tenant)
    (item,) = items_of(target, settings, tenant)
    assert (row["sale_id"], row["sold_price"]) == ("sale-1", Decimal("450.5000"))
    assert (item["saleId"]["S"], item["salePrice"]["N"]) == ("sale-1", "450.5")


def test_2_idempotency(handle: Handle, target: Target, settings: Settings) -> None:
    tenant = new_tenant()
    assert handle(event(tenantId=tenant))["statusCode"] == 200
    again = event(tenantId=tenant) | {"id": "another envelope"}
    assert handle(again) == {"statusCode": 200, "body": "Duplicate event - skipped"}
    assert len(rows_of(target, tenant)) == len(items_of(target, settings, tenant)) == 1


def test_2_a_resale_of_the_same_product_is_another_sale(handle: Handle, target: Target) -> None:
    tenant = new_tenant()
    handle(event(tenantId=tenant, saleId="first"))
    assert handle(event(tenantId=tenant, saleId="second"))["body"] == "Event processed successfully"
    assert sorted(row["sale_id"] for row in rows_of(target, tenant)) == ["first", "second"]


def test_3_key_structure_with_sharding(handle: Handle, target: Target, settings: Settings) -> None:
    tenant = new_tenant()
    handle(event(tenantId=tenant, embeddingId="emb-1", embedding=[0.5]))
    handle(event(tenantId=tenant, saleId="no embedding"))
    items = {item["saleId"]["S"]: item for item in items_of(target, settings, tenant)}
    with_embedding, without = items["sale-1"], items["no embedding"]
    assert with_embedding["PK"]["S"] == f"TENANT#{tenant}#PRODUCT#product-1"
    assert with_embedding["SK"]["S"] == "SALE#2026-03-14#sale-1"
    assert with_embedding["GSI2PK"]["S"] in {f"TENANT#{tenant}#EMBEDDING#{shard}" for shard in range(5)}
    assert with_embedding["GSI2SK"]["S"] == "DATE#2026-03-14"
    assert "GSI2PK" not in without
    by_shard = target.client("dynamodb").query(
        TableName=settings.projection_table,
        IndexName="GSI2",
        KeyConditionExpression="GSI2PK = :shard AND GSI2SK = :date",
        ExpressionAttributeValues={":shard": with_embedding["GSI2PK"], ":date": {"S": "DATE#2026-03-14"}},
    )
    assert [item["saleId"]["S"] for item in by_shard["Items"]] == ["sale-1"]


def test_4_partitioning(handle: Handle, target: Target) -> None:
    tenant = new_tenant()
    handle(event(tenantId=tenant, soldDate="2025-12-30"))
    table = target.load_table()
    assert [field.name for field in table.spec().fields] == ["tenant_id", "year", "month"]
    matching = f"tenant_id = '{tenant}' and year = 2025 and month = 12"
    (task,) = table.scan(matching).plan_files()
    assert task.file.record_count == 1
    assert list(table.scan(f"tenant_id = '{tenant}' and year = 2025 and month = 11").plan_files()) == []


def test_5_ttl_of_two_years(handle: Handle, target: Target, settings: Settings) -> None:
    tenant = new_tenant()
    handle(event(tenantId=tenant, soldDate="2026-03-14"))
    (item,) = items_of(target, settings, tenant)
    assert datetime.fromtimestamp(int(item["ttl"]["N"]), UTC) == datetime(2028, 3, 14, tzinfo=UTC)
    setting = target.client("dynamodb").describe_time_to_live(TableName=settings.projection_table)
    assert setting["TimeToLiveDescription"]["AttributeName"] == "ttl"


def test_6_a_retry_recovers_from_a_dynamodb_failure(target: Target, settings: Settings) -> None:
    tenant = new_tenant()
    broken = build(replace(settings, projection_table="missing"))
    with pytest.raises(SaleNotCommitted, match="missing"):
        broken.handle(event(tenantId=tenant), None)
    retried = build(settings, LaterClock()).handle(event(tenantId=tenant), None)
    assert retried["statusCode"] == 200
    assert len(rows_of(target, tenant)) == len(items_of(target, settings, tenant)) == 1


def test_7_a_retry_recovers_from_an_s3_failure(target: Target, settings: Settings) -> None:
    tenant = new_tenant()
    unreachable = replace(settings.catalog, endpoint_url="http://127.0.0.1:9")
    broken = build(replace(settings, catalog=unreachable))
    with pytest.raises(SaleNotCommitted, match="could not be loaded"):
        broken.handle(event(tenantId=tenant), None)
    assert rows_of(target, tenant) == items_of(target, settings, tenant) == []
    assert build(settings, LaterClock()).handle(event(tenantId=tenant), None)["statusCode"] == 200
    assert len(rows_of(target, tenant)) == len(items_of(target, settings, tenant)) == 1


@pytest.mark.parametrize(("month", "season"), [(1, "Q1"), (3, "Q1"), (4, "Q2"), (9, "Q3"), (10, "Q4"), (12, "Q4")])
def test_8_season(handle: Handle, target: Target, settings: Settings, month: int, season: str) -> None:
    tenant = new_tenant()
    handle(event(tenantId=tenant, soldDate=date(2025, month, 15).isoformat()))
    (row,) = rows_of(target, tenant)
    (item,) = items_of(target, settings, tenant)
    assert row["season"] == row["quarter"] == item["season"]["S"] == season


def test_9_embedding_of_1024_dimensions(handle: Handle, target: Target, settings: Settings) -> None:
    tenant = new_tenant()
    numbers = [round((number - 512) / 1023.7, 7) for number in range(1024)]
    handle(event(tenantId=tenant, embeddingId="emb", embedding=numbers))
    expected = array("f", numbers)
    (row,) = rows_of(target, tenant)
    (item,) = items_of(target, settings, tenant)
    assert array("f", row["embedding_vector"]) == expected
    assert vector_of_json(item["embedding"]["S"]) == expected
    assert row["embedding_dimension"] == int(item["embeddingDimension"]["N"]) == 1024
    assert len(json.loads(item["embedding"]["S"])) == 1024
