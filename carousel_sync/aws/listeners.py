"""Which rules of an event bus would receive an event, so that invented sales do not reach another stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from carousel_sync.aws.event_bus import BusEvent
from carousel_sync.aws.target import Target
from lambda_fn.errors import ConfigurationError

RULE_NAME: Final = "carousel-sync-{stage}"
"""The name that template.yaml gives the rule of a stage."""


def other_listeners(target: Target, bus: str, event: BusEvent) -> list[str]:
    """Return the names of the rules on a bus, other than the stage's own, that may receive events like this one.

    A rule's conditions on the detail are ignored, because events differ in it. Rules that AWS manages, such as those of
    archives, and rules that are disabled are left out. Raises ConfigurationError if the bus does not exist or its rules
    can't be read.
    """
    own = RULE_NAME.format(stage=target.stage)
    client = target.client("events")
    document = json.dumps(_envelope(target, event))
    try:
        # PutEvents accepts events for a bus that does not exist, and drops them.
        client.describe_event_bus(Name=bus)
        return [
            name
            for name, pattern in _rules(client, bus)
            if name != own and client.test_event_pattern(EventPattern=pattern, Event=document)["Result"]
        ]
    except client.exceptions.ResourceNotFoundException as error:
        raise ConfigurationError(
            f"There is no event bus {bus!r} at {target}. Nothing was sent. Check --bus and the region (AWS_REGION)."
        ) from error
    except (ClientError, BotoCoreError) as error:
        raise ConfigurationError(
            f"The rules of event bus {bus!r} at {target} can't be read, so other stages may receive the events, too: "
            f"{error}. Nothing was sent. Allow events:DescribeEventBus, events:ListRules and events:TestEventPattern, "
            "or send with --force."
        ) from error


def refuse_to_reach_others(target: Target, bus: str, event: BusEvent) -> None:
    """Raise ConfigurationError if another rule on the bus may receive events like this one."""
    if others := other_listeners(target, bus, event):
        raise ConfigurationError(
            f"Other rules on event bus {bus!r} would receive the events, too: {', '.join(others)}. The rule "
            f"{RULE_NAME.format(stage='NAME')} stores them as sales of stage NAME. Nothing was sent. Give the stage an "
            "account or an event bus of its own (EventBusName), or send with --force."
        )


def _rules(client: Any, bus: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each rule that somebody has enabled, and its pattern without conditions on the detail."""
    for page in client.get_paginator("list_rules").paginate(EventBusName=bus):
        for rule in page["Rules"]:
            pattern: dict[str, Any] = json.loads(rule.get("EventPattern") or "{}")
            if not pattern or rule.get("ManagedBy") or rule.get("State") == "DISABLED":
                continue
            # A pattern must have a condition; every event has a source.
            conditions = {name: value for name, value in pattern.items() if name != "detail"}
            yield rule["Name"], json.dumps(conditions or {"source": [{"prefix": ""}]})


def _envelope(target: Target, event: BusEvent) -> Mapping[str, Any]:
    return {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000000",
        "account": "000000000000",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": target.region,
        "resources": [],
        "source": event.source,
        "detail-type": event.detail_type,
        "detail": {},
    }
