"""The dashboard of template.yaml is valid, and every metric that it shows exists."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambda_fn.ports import Metric, Reason
from lambda_fn.telemetry import NAMESPACE
from tests.infrastructure.conftest import Emitted

# Metrics that AWS services emit (CloudWatch User Guide, "AWS services that publish CloudWatch metrics").
OF_SERVICES = {
    *(
        ("AWS/Lambda", name, ("FunctionName",))
        for name in (
            "Invocations",
            "Errors",
            "Throttles",
            "Duration",
            "AsyncEventsReceived",
            "AsyncEventsDropped",
            "AsyncEventAge",
        )
    ),
    *(
        ("AWS/SQS", name, ("QueueName",))
        for name in (
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfMessagesReceived",
        )
    ),
    *(
        ("AWS/DynamoDB", name, ("TableName",))
        for name in (
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
            "ReadThrottleEvents",
            "WriteThrottleEvents",
        )
    ),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", ("GlobalSecondaryIndexName", "TableName")),
}


@pytest.fixture
def widgets(resources: dict[str, Any]) -> list[dict[str, Any]]:
    body = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    found: list[dict[str, Any]] = body["widgets"]
    return found


def rows_of(widgets: list[dict[str, Any]]) -> list[list[Any]]:
    return [row for widget in widgets for row in widget["properties"]["metrics"]]


def read(row: list[Any]) -> tuple[Emitted, dict[str, str]]:
    """Return the metric of a widget's row, and its dimensions with their values."""
    texts = [part for part in row if isinstance(part, str)]
    dimensions = dict(zip(texts[2::2], texts[3::2], strict=True))
    return (texts[0], texts[1], tuple(sorted(dimensions))), dimensions


def test_every_metric_of_the_dashboard_is_emitted(widgets: list[dict[str, Any]], emitted: set[Emitted]) -> None:
    named = {read(row)[0] for row in rows_of(widgets)}
    assert named - OF_SERVICES <= emitted
    assert {namespace for namespace, _, _ in named - OF_SERVICES} == {NAMESPACE}
    assert named >= OF_SERVICES


def test_dashboard_shows_every_metric_of_the_function(widgets: list[dict[str, Any]]) -> None:
    shown = {read(row)[0][1] for row in rows_of(widgets)}
    assert {metric.value for metric in Metric} <= shown


def test_rejections_are_shown_for_every_reason(widgets: list[dict[str, Any]]) -> None:
    reasons = [read(row)[1].get("reason") for row in rows_of(widgets)]
    assert sorted(reason for reason in reasons if reason) == sorted(reason.value for reason in Reason)


def test_dimensions_refer_to_this_stack(widgets: list[dict[str, Any]], resources: dict[str, Any]) -> None:
    for row in rows_of(widgets):
        _, dimensions = read(row)
        for name, value in dimensions.items():
            reference = re.fullmatch(r"\$\{(\w+)(?:\.\w+)?\}", value)
            if reference:
                assert reference[1] in resources or reference[1] == "Stage"
            else:
                assert name in ("service", "reason", "GlobalSecondaryIndexName")


def test_widgets_do_not_overlap(widgets: list[dict[str, Any]]) -> None:
    positions = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(positions)) == len(positions)
    assert all((widget["width"], widget["height"]) == (12, 6) for widget in widgets)
    assert all(widget["x"] % 12 == 0 and widget["y"] % 6 == 0 and widget["x"] < 24 for widget in widgets)
