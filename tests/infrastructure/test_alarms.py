"""The alarms of template.yaml: each names a section of the runbook and a metric that exists."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambda_fn.ports import Metric
from lambda_fn.redelivery import LONGEST_SECONDS
from lambda_fn.telemetry import NAMESPACE
from tests.infrastructure.conftest import Emitted

ALARMS = {
    "FunctionErrors",
    "FunctionThrottles",
    "FunctionDuration",
    "DynamoDBThrottling",
    "FailedCommits",
    "CommitConflicts",
    "DeadLetters",
    "OldestMessageAge",
    "SalesGivenBack",
    "SalesGivenUp",
    "Takeovers",
    "MetadataSize",
    "WaitingForColumn",
}
# Metrics that AWS services emit (CloudWatch User Guide, "AWS services that publish CloudWatch metrics", and each
# service's own page).
OF_SERVICES = {
    ("AWS/Lambda", "Errors", ("FunctionName",)),
    ("AWS/Lambda", "Throttles", ("FunctionName",)),
    ("AWS/Lambda", "Duration", ("FunctionName",)),
    ("AWS/SQS", "NumberOfMessagesSent", ("QueueName",)),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", ("QueueName",)),
}


def alarms_of(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def anchor(name: str) -> str:
    """Return the name in kebab case: ``DynamoDBThrottling`` becomes ``dynamodb-throttling``."""
    words = re.findall(r"DynamoDB|[A-Z][a-z]+", name)
    return "-".join(word.lower() for word in words)


def test_alarms_are_the_expected_ones(resources: dict[str, Any]) -> None:
    assert alarms_of(resources).keys() == ALARMS


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_alarm_links_to_the_runbook_and_notifies_the_topic(resources: dict[str, Any], name: str) -> None:
    alarm = alarms_of(resources)[name]
    assert alarm["AlarmDescription"].endswith(f" Runbook: docs/runbook.md#{anchor(name)}")
    topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert alarm["AlarmActions"] == alarm["OKActions"] == topic
    assert alarm["AlarmName"] == {"Fn::Sub": "carousel-sync-${Stage}-" + name}
    # The function emits nothing while no sale arrives, nor does SQS while a queue is idle.
    assert alarm["TreatMissingData"] == "notBreaching"


def test_duration_alarm_fires_before_the_timeout(resources: dict[str, Any]) -> None:
    timeout = resources["SyncFunction"]["Properties"]["Timeout"] * 1000
    assert 0.7 * timeout <= alarms_of(resources)["FunctionDuration"]["Threshold"] <= 0.9 * timeout


def test_metadata_alarm_fires_before_the_limit(resources: dict[str, Any]) -> None:
    assert alarms_of(resources)["MetadataSize"]["Threshold"] == pytest.approx(50e6, rel=0.25)
    assert alarms_of(resources)["MetadataSize"]["Threshold"] < 50e6


def test_given_back_alarm_sees_a_single_sale_throughout_an_outage(resources: dict[str, Any]) -> None:
    """Towards the end of an outage, a sale is delivered once in the longest wait and the time of an invocation."""
    alarm = alarms_of(resources)["SalesGivenBack"]
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 1)
    interval = LONGEST_SECONDS + resources["SyncFunction"]["Properties"]["Timeout"]
    period, evaluated = alarm["Period"], alarm["EvaluationPeriods"]
    for offset in range(0, interval, 5):
        given_back = {second // period for second in range(offset, offset + 100 * interval, interval)}
        for last in range(evaluated, max(given_back)):
            assert len(given_back & set(range(last - evaluated + 1, last + 1))) >= alarm["DatapointsToAlarm"]


def test_dead_letter_alarm_counts_new_letters_and_not_those_that_are_left(resources: dict[str, Any]) -> None:
    alarm = alarms_of(resources)["DeadLetters"]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == ("NumberOfMessagesSent", "Sum", 1)
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetterQueue", "QueueName"]}}]
    # Metrics of a queue that was idle are up to 15 minutes late.
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 15 * 60
    assert alarm["DatapointsToAlarm"] == 1


def test_letters_that_sqs_moves_have_an_alarm_of_their_own(resources: dict[str, Any]) -> None:
    alarm = alarms_of(resources)["SalesGivenUp"]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == (Metric.GIVEN_UP, "Sum", 1)
    limit = resources["BufferQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    assert resources["SyncFunction"]["Properties"]["Environment"]["Variables"]["MAX_RECEIVE_COUNT"] == str(limit)


def named_by_alarms(resources: dict[str, Any]) -> set[Emitted]:
    return {
        (
            alarm["Namespace"],
            alarm["MetricName"],
            tuple(sorted(dimension["Name"] for dimension in alarm["Dimensions"])),
        )
        for alarm in alarms_of(resources).values()
    }


def test_every_metric_of_an_alarm_is_emitted(resources: dict[str, Any], emitted: set[Emitted]) -> None:
    assert named_by_alarms(resources) - OF_SERVICES <= emitted
    assert {namespace for namespace, _, _ in named_by_alarms(resources) - OF_SERVICES} == {NAMESPACE}


def test_metric_that_is_not_emitted_is_detected(resources: dict[str, Any], emitted: set[Emitted]) -> None:
    renamed = json.loads(json.dumps(resources))
    renamed["Takeovers"]["Properties"]["MetricName"] = "TakeOvers"
    turned = json.loads(json.dumps(resources))
    turned["Takeovers"]["Properties"]["Dimensions"].pop()
    assert all(named_by_alarms(wrong) - OF_SERVICES - emitted for wrong in (renamed, turned))
