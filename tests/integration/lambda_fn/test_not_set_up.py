"""What a function reports that is not set up: the variable, or the table and the command that creates it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from carousel_sync.local_stack.stack import LocalStack
from lambda_fn import wiring
from lambda_fn.errors import ConfigurationError, SaleNotCommitted
from lambda_fn.handler import handler
from lambda_fn.settings import Settings
from lambda_fn.wiring import build
from tests.builders import event


@pytest.fixture
def without_table(stack: LocalStack) -> Settings:
    target = stack.target()
    return replace(target.settings, catalog=target.catalog_config, table="never_created")


def record(message: str, body: str) -> dict[str, Any]:
    return {"messageId": message, "body": body, "eventSource": "aws:sqs", "attributes": {}}


def test_without_the_table_sales_stay_in_the_queue(without_table: Settings, caplog: pytest.LogCaptureFixture) -> None:
    tenant = uuid.uuid4().hex
    batch = {"Records": [record("sale", json.dumps(event(tenantId=tenant))), record("poison", "{")]}
    answer = build(without_table).handle(batch, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "sale"}]}
    log = str([vars(record) for record in caplog.records])
    assert "pricing_intelligence.never_created" in log
    assert "carousel-sync evolve apply" in log


def test_without_the_table_a_direct_event_is_delivered_again(without_table: Settings) -> None:
    with pytest.raises(SaleNotCommitted, match=r"never_created.*carousel-sync evolve apply"):
        build(without_table).handle(event(tenantId=uuid.uuid4().hex), None)


@pytest.mark.parametrize(
    "name", ["STAGE", "GUARD_TABLE", "PROJECTION_TABLE", "DEAD_LETTER_QUEUE_URL", "TABLE_BUCKET_ARN"]
)
def test_the_first_call_names_a_missing_variable(stack: LocalStack, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in stack.target().environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv(name)
    wiring.application.cache_clear()
    with pytest.raises(ConfigurationError, match=name):
        handler(event(), None)
