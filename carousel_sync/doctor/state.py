"""What waits for a person: dead letters, and alarms that have gone off."""

from __future__ import annotations

from typing import Any, Final

from more_itertools import chunked

from carousel_sync.doctor.account import DEPLOY_AGAIN
from carousel_sync.doctor.finding import Check, Finding, Status, ok
from carousel_sync.doctor.stage import Stage

_ALARM_TYPES: Final = {"AWS::CloudWatch::Alarm": "MetricAlarm", "AWS::CloudWatch::CompositeAlarm": "CompositeAlarm"}
# Amazon CloudWatch API Reference, DescribeAlarms.
_NAMES_A_REQUEST: Final = 100


def dead_letters(stage: Stage) -> Finding:
    """Whether events wait in the dead-letter queue."""
    queue = stage.queue(stage.dead_letter_queue)
    waiting = int(queue["ApproximateNumberOfMessages"]) + int(queue["ApproximateNumberOfMessagesNotVisible"])
    if not waiting:
        return ok(f"{stage.dead_letter_queue} is empty")
    seen = f"{waiting:,} events wait in {stage.dead_letter_queue}, for 14 days at most"
    remedy = "See why: carousel-sync dlq list --stage {stage} (docs/runbook.md, DeadLetters)."
    return Finding(Status.WARNING, seen, remedy)


def alarms(stage: Stage) -> Finding:
    """Whether the stack's alarms are all there, and quiet."""
    names = [one["PhysicalResourceId"] for one in stage.resources if one["ResourceType"] in _ALARM_TYPES]
    found = _described(stage, names)
    missing = sorted(set(names) - {one["AlarmName"] for one in found})
    if missing:
        return Finding(Status.FAILURE, f"alarms are missing: {', '.join(missing)}", DEPLOY_AGAIN)
    if not found:
        return Finding(Status.WARNING, "the stack has no alarms: nobody is told of a failure", DEPLOY_AGAIN)
    ringing = sorted(one["AlarmName"] for one in found if one["StateValue"] == "ALARM")
    if ringing:
        sections = ", ".join(name.rpartition("-")[2] for name in ringing)
        remedy = f"Follow docs/runbook.md, section {sections}."
        return Finding(Status.FAILURE, f"in ALARM: {', '.join(ringing)}", remedy)
    silent = [one for one in found if not (one.get("AlarmActions") and one.get("ActionsEnabled", True))]
    told = f"; {len(silent)} of them notify nobody (parameter AlarmTopicArn)" if silent else ""
    return ok(f"{len(found)} alarms, none in ALARM{told}")


def _described(stage: Stage, names: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for some in chunked(names, _NAMES_A_REQUEST):
        answer = stage.client("cloudwatch").describe_alarms(
            AlarmNames=some, AlarmTypes=list(_ALARM_TYPES.values()), MaxRecords=100
        )
        found += [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    return found


CHECKS: Final = (
    Check("dead letters", dead_letters, DEPLOY_AGAIN),
    Check("alarms", alarms, DEPLOY_AGAIN),
)
