"""Checks of the path of an event: rule, target, queues, and the event source mapping of the function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from carousel_sync.aws.target import FUNCTION_ALIAS
from carousel_sync.doctor.finding import Fault, Result
from carousel_sync.doctor.policies import allowed_actions
from carousel_sync.doctor.stage import Stage
from lambda_fn.event import EVENT_SOURCE
from lambda_fn.sale import EVENT_TYPE

EVENTS: Final = "events.amazonaws.com"
# Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping": the queue's visibility time-out
# should be at least this many time-outs of the function, plus the batch window.
VISIBILITY_TIMES: Final = 6
DEAD_LETTER_RETENTION_SECONDS: Final = 14 * 24 * 3600
_ENABLED: Final = frozenset({"ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"})


def rule(stage: Stage) -> Result:
    """Check that the rule is enabled and matches sales only."""
    found = stage.event_rule
    if found["State"] not in _ENABLED:
        enable = f"aws events enable-rule --name {stage.rule} --event-bus-name {stage.bus}"
        yield Fault(f"rule {stage.rule} is {found['State']}: sales that arrive now are lost", f"Enable it: {enable}")
    if not _matches(stage, _sample(stage)):
        pattern = found.get("EventPattern")
        yield Fault(f"the pattern of rule {stage.rule} does not match a sale: {pattern}")
    if _matches(stage, _sample(stage) | {"detail-type": "carousel.product.listed"}):
        yield Fault(f"the pattern of rule {stage.rule} also matches events that are not sales")
    yield f"rule {stage.rule} on bus {stage.bus} is enabled and matches a sample sale"


def target(stage: Stage) -> Result:
    """Check that the rule delivers to the right target, and that undeliverable events are kept."""
    targets = stage.client("events").list_targets_by_rule(Rule=stage.rule, EventBusName=stage.bus)["Targets"]
    wanted = stage.alias_arn if stage.direct else stage.queue(stage.buffer_queue)["QueueArn"]
    dead = stage.queue(stage.dead_letter_queue)["QueueArn"]
    ours = [target for target in targets if target["Arn"] == wanted]
    if not ours:
        yield Fault(f"rule {stage.rule} has no target {wanted}: sales are not delivered")
    if any(target.get("DeadLetterConfig", {}).get("Arn") != dead for target in ours):
        yield Fault("the rule's target does not keep undeliverable events in the dead-letter queue")
    if stage.direct:
        if not allowed_actions(_of_alias(stage, "get_policy").get("Policy"), EVENTS):
            yield Fault(f"rule {stage.rule} may not invoke the function")
        config = _of_alias(stage, "get_function_event_invoke_config").get("DestinationConfig", {})
        if config.get("OnFailure", {}).get("Destination") != dead:
            yield Fault("events on which the function gives up are lost (no on-failure destination)")
    name = "the function" if stage.direct else stage.buffer_queue
    yield f"{name} is the target, undeliverable events are kept"


def buffer_queue(stage: Stage) -> Result:
    """Check that the rule may send to the queue, and the queue's visibility time-out and redrive policy."""
    queue = stage.queue(stage.buffer_queue)
    dead = stage.queue(stage.dead_letter_queue)["QueueArn"]
    visibility = int(queue["VisibilityTimeout"])
    window = max((mapping.get("MaximumBatchingWindowInSeconds", 0) for mapping in _mappings(stage)), default=0)
    least = VISIBILITY_TIMES * stage.configuration["Timeout"] + window
    redrive = json.loads(queue.get("RedrivePolicy") or "{}")
    yield from _sending_faults(stage, stage.buffer_queue)
    if redrive.get("deadLetterTargetArn") != dead:
        yield Fault(
            f"{stage.buffer_queue} loses messages that fail too often (no redrive policy to the dead-letter queue)"
        )
    if visibility < least:
        yield Fault(
            f"the visibility time-out of {stage.buffer_queue} is {visibility} s, which is less than {least} s: "
            "messages are delivered again while they are being processed"
        )
    deliveries = redrive.get("maxReceiveCount")
    yield f"{stage.buffer_queue}: the rule may send; after {deliveries} failed deliveries, to the dead-letter queue"


def dead_letter_queue(stage: Stage) -> Result:
    """Check that the rule may send to the dead-letter queue, and that the queue keeps messages long enough."""
    name = stage.dead_letter_queue
    seconds = int(stage.queue(name)["MessageRetentionPeriod"])
    yield from _sending_faults(stage, name)
    if seconds < DEAD_LETTER_RETENTION_SECONDS:
        yield Fault(f"{name} keeps messages for {seconds / 86400:.1f} days instead of 14")
    yield f"{name}: the rule may send, messages are kept for 14 days"


def mapping(stage: Stage) -> Result:
    """Check that the queue's messages reach the function, and that only failed ones are delivered again."""
    found = _mappings(stage)
    if not found:
        yield Fault(f"no event source mapping delivers {stage.buffer_queue} to the function")
    for mapping in found:
        if mapping["State"] != "Enabled":
            enable = f"aws lambda update-event-source-mapping --uuid {mapping['UUID']} --enabled"
            yield Fault(
                f"the event source mapping is {mapping['State']}: sales wait in the queue", f"Enable it: {enable}"
            )
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            yield Fault("the event source mapping ignores partial batch responses: failed sales would be lost")
    yield f"{stage.buffer_queue} to {stage.function}: enabled, only failed messages are delivered again"


def _mappings(stage: Stage) -> list[Mapping[str, Any]]:
    """Return the event source mappings from the buffer queue to the function's alias."""
    # Not by the function's name: Lambda lists a mapping to an alias under the alias only.
    answer = stage.client("lambda").list_event_source_mappings(
        EventSourceArn=stage.queue(stage.buffer_queue)["QueueArn"]
    )
    return [mapping for mapping in answer["EventSourceMappings"] if mapping["FunctionArn"] == stage.alias_arn]


def _sample(stage: Stage) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000000",
        "detail-type": EVENT_TYPE,
        "source": EVENT_SOURCE,
        "account": stage.event_rule["Arn"].split(":")[4],
        "time": stage.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": stage.target.region,
        "resources": [],
        "detail": {"tenantId": "tenant", "productId": "product"},
    }


def _matches(stage: Stage, event: Mapping[str, Any]) -> bool:
    answer = stage.client("events").test_event_pattern(
        EventPattern=stage.event_rule.get("EventPattern") or "{}", Event=json.dumps(event)
    )
    return bool(answer["Result"])


def _sending_faults(stage: Stage, name: str) -> Iterator[Fault]:
    if "sqs:SendMessage" not in allowed_actions(stage.queue(name).get("Policy"), EVENTS, stage.event_rule["Arn"]):
        yield Fault(f"the policy of {name} does not allow rule {stage.rule} to send to it")


def _of_alias(stage: Stage, operation: str) -> Mapping[str, Any]:
    """Return Lambda's response to an operation on the alias; empty if nothing is configured."""
    client = stage.client("lambda")
    try:
        return dict(getattr(client, operation)(FunctionName=stage.function, Qualifier=FUNCTION_ALIAS))
    except client.exceptions.ResourceNotFoundException:
        return {}
