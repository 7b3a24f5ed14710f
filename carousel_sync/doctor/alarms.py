"""Checks of what needs a person: dead letters, and alarms that have gone off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from carousel_sync.doctor.finding import Fault, Result, Status
from carousel_sync.doctor.stage import Stage

_ALARM_TYPES: Final = {"AWS::CloudWatch::Alarm": "MetricAlarm", "AWS::CloudWatch::CompositeAlarm": "CompositeAlarm"}
# Amazon CloudWatch API Reference, DescribeAlarms. The stack has far fewer.
_MOST_PER_REQUEST: Final = 100


def dead_letters(stage: Stage) -> Result:
    """Check that no events are in the dead-letter queue."""
    count = stage.messages_in(stage.dead_letter_queue)
    if not count:
        return [f"{stage.dead_letter_queue} is empty"]
    seen = f"events in {stage.dead_letter_queue}: {count:,}; each is kept for 14 days"
    remedy = "List them with their reasons: carousel-sync dlq list {options} (docs/runbook.md, DeadLetters)."
    return [Fault(seen, remedy, Status.WARNING)]


def _fault(alarm: Mapping[str, Any], deployed: datetime) -> Fault:
    name, since = alarm["AlarmName"], alarm["StateUpdatedTimestamp"]
    before = since < deployed
    when = " since before the last deployment" if before else ""
    remedy = f"Follow docs/runbook.md, section {name.rpartition('-')[2]}."
    return Fault(f"{name} is in ALARM{when}", remedy, before_deployment=before)


def alarms(stage: Stage) -> Result:
    """Check that all of the stack's alarms exist, and that none is in ALARM."""
    names = [resource["PhysicalResourceId"] for resource in stage.resources if resource["ResourceType"] in _ALARM_TYPES]
    if not names:
        return [Fault("the stack has no alarms: nobody is notified of failures", status=Status.WARNING)]
    answer = stage.client("cloudwatch").describe_alarms(
        AlarmNames=names, AlarmTypes=list(_ALARM_TYPES.values()), MaxRecords=_MOST_PER_REQUEST
    )
    found = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    missing = sorted(set(names) - {alarm["AlarmName"] for alarm in found})
    if missing:
        return [Fault(f"alarms are missing: {', '.join(missing)}")]
    active = sorted((alarm for alarm in found if alarm["StateValue"] == "ALARM"), key=itemgetter("AlarmName"))
    if active:
        deployed = stage.stack.get("LastUpdatedTime") or stage.stack["CreationTime"]
        return [_fault(alarm, deployed) for alarm in active]
    silent = [alarm for alarm in found if not (alarm.get("AlarmActions") and alarm.get("ActionsEnabled", True))]
    note = f"; {len(silent)} of them notify nobody (parameter AlarmTopicArn)" if silent else ""
    return [f"{len(found)} alarms, none in ALARM{note}"]
