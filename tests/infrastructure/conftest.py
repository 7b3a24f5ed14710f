"""Fixtures: the template as data, and the metrics that the function emits."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import cfnlint.decode  # type: ignore[import-untyped]
import pytest

from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.settings import Settings
from lambda_fn.wiring import build
from tests.builders import event

Emitted = tuple[str, str, tuple[str, ...]]
"""A metric's namespace, name and dimension names."""
TEMPLATE = PROJECT_ROOT / "template.yaml"


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    decoded, problems = cfnlint.decode.decode(str(TEMPLATE))
    assert not problems
    plain: dict[str, Any] = json.loads(json.dumps(decoded))
    return plain


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


def batch(*bodies: str) -> dict[str, Any]:
    records = [
        {"messageId": f"message-{number}", "body": text, "eventSource": "aws:sqs", "attributes": {}}
        for number, text in enumerate(bodies)
    ]
    return {"Records": records}


def metrics_of(text: str) -> set[Emitted]:
    """Parse CloudWatch's embedded metric format."""
    found: set[Emitted] = set()
    for line in text.splitlines():
        for group in json.loads(line).get("_aws", {}).get("CloudWatchMetrics", []):
            for dimensions in group["Dimensions"]:
                names = tuple(sorted(dimensions))
                found.update((group["Namespace"], metric["Name"], names) for metric in group["Metrics"])
    return found


@pytest.fixture
def emitted(stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> set[Emitted]:
    """Every metric that the function emits for a new, a repeated and an invalid sale, and without its table."""
    target = stack.target()
    queues = target.client("sqs")
    # A separate dead-letter queue: other tests read the stack's.
    letters = queues.create_queue(QueueName=f"letters-{uuid.uuid4().hex}")["QueueUrl"]
    settings: Settings = replace(target.settings, catalog=target.catalog_config, dead_letter_queue_url=letters)
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    good, bad = event(tenantId=tenant, unknown=1), event(tenantId=tenant, saleId="bad", salePrice="much")
    given = batch(json.dumps(good), json.dumps(good), json.dumps(bad), "no JSON")
    assert build(settings).handle(given, None) == {"batchItemFailures": []}
    assert build(replace(settings, table="missing")).handle(given, None)["batchItemFailures"]
    queues.delete_queue(QueueUrl=letters)
    return metrics_of(capsys.readouterr().out)
