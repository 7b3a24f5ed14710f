"""The function with a table at an older version: events with a value for a missing column wait."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from carousel_sync.local_stack.stack import LocalStack
from catalog_config.provision import ensure_table
from lambda_fn.errors import SaleNotCommitted
from lambda_fn.settings import Settings
from lambda_fn.wiring import build
from tests.builders import event

NAMESPACE = "rollout"


@pytest.fixture
def settings(stack: LocalStack) -> Settings:
    """Settings of a function whose table is at version 1."""
    target = stack.target()
    name = f"t{uuid.uuid4().hex[:12]}"
    ensure_table(target.catalog(), NAMESPACE, name, to=1)
    return replace(target.settings, catalog=target.catalog_config, namespace=NAMESPACE, table=name)


def upgrade(stack: LocalStack, settings: Settings) -> None:
    ensure_table(stack.target().catalog(), NAMESPACE, settings.table)


def batch(**events: dict[str, Any]) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": name, "body": json.dumps(one), "eventSource": "aws:sqs", "attributes": {}}
            for name, one in events.items()
        ]
    }


def rows(stack: LocalStack, settings: Settings) -> dict[str, str | None]:
    table = stack.target().catalog().load_table(settings.table_identifier)
    return {row["sale_id"]: row.get("currency") for row in table.scan().to_arrow().to_pylist()}


def test_only_sales_with_a_value_for_the_missing_column_wait(
    stack: LocalStack, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = uuid.uuid4().hex
    both = batch(
        euros=event(tenantId=tenant, saleId="euros", currency="EUR"), plain=event(tenantId=tenant, saleId="plain")
    )
    app = build(settings)
    assert app.handle(both, None) == {"batchItemFailures": [{"itemIdentifier": "euros"}]}
    told = capsys.readouterr().out
    assert '"SalesWaitingForColumn":[1.0]' in told.replace(" ", "")
    assert rows(stack, settings) == {"plain": None}

    # The same process lands the same events once the column exists.
    upgrade(stack, settings)
    assert app.handle(both, None) == {"batchItemFailures": []}
    assert rows(stack, settings) == {"plain": None, "euros": "EUR"}
    assert '"SalesWaitingForColumn":[0.0]' in capsys.readouterr().out.replace(" ", "")


def test_a_direct_event_names_the_missing_column(stack: LocalStack, settings: Settings) -> None:
    euros = event(tenantId=uuid.uuid4().hex, currency="EUR")
    with pytest.raises(SaleNotCommitted, match=r"no column for currency.*carousel-sync evolve apply"):
        build(settings).handle(euros, None)
    upgrade(stack, settings)
    assert build(settings).handle(euros, None)["statusCode"] == 200
    assert list(rows(stack, settings).values()) == ["EUR"]


def test_an_event_without_currency_repeated_after_the_rollout_is_a_duplicate(
    stack: LocalStack, settings: Settings
) -> None:
    plain = event(tenantId=uuid.uuid4().hex)
    build(settings).handle(plain, None)
    upgrade(stack, settings)
    assert build(settings).handle(plain, None) == {"statusCode": 200, "body": "Duplicate event - skipped"}
    changed = event(tenantId=plain["detail"]["tenantId"], currency="EUR")
    assert build(settings).handle(changed, None)["statusCode"] == 422
