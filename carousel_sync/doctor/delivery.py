"""The way of an event: rule, target, queues, and what hands the queue's messages to the function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from carousel_sync.aws.target import FUNCTION_ALIAS
from carousel_sync.doctor.account import DEPLOY_AGAIN
from carousel_sync.doctor.finding import Check, Finding, judged
from carousel_sync.doctor.stage import Stage
from lambda_fn.event import EVENT_SOURCE
from lambda_fn.sale import EVENT_TYPE

EVENTS: Final = "events.amazonaws.com"
# Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping": the queue's visibility time-out
# is at least this many time-outs of the function, and the batch window besides.
VISIBILITY_TIMES: Final = 6
DEAD_LETTER_RETENTION_SECONDS: Final = 14 * 24 * 3600
_ENABLED: Final = frozenset({"ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"})


def rule(stage: Stage) -> Finding:
    """Whether the rule is enabled, and picks a sale and nothing that is not one."""
    found = stage.event_rule

    def faults() -> Iterator[tuple[str, str]]:
        if found["State"] not in _ENABLED:
            enable = f"aws events enable-rule --name {stage.rule} --event-bus-name {stage.bus}"
            yield f"rule {stage.rule} is {found['State']}: sales that arrive now are lost", f"Enable it: {enable}"
        if not _matches(stage, _sample(stage)):
            yield f"the pattern of rule {stage.rule} does not match a sale: {found.get('EventPattern')}", DEPLOY_AGAIN
        if _matches(stage, _sample(stage) | {"detail-type": "carousel.product.listed"}):
            yield f"the pattern of rule {stage.rule} matches what is not a sale", DEPLOY_AGAIN

    return judged(f"rule {stage.rule} on bus {stage.bus} is enabled and matches a sample sale", faults())


def target(stage: Stage) -> Finding:
    """Whether the rule hands over to the right place, and keeps what it can't hand over."""
    targets = stage.client("events").list_targets_by_rule(Rule=stage.rule, EventBusName=stage.bus)["Targets"]
    wanted = stage.alias_arn if stage.direct else stage.queue(stage.buffer_queue)["QueueArn"]
    dead = stage.queue(stage.dead_letter_queue)["QueueArn"]

    def faults() -> Iterator[tuple[str, str]]:
        ours = [one for one in targets if one["Arn"] == wanted]
        if not ours:
            yield f"rule {stage.rule} has no target {wanted}: sales go nowhere", DEPLOY_AGAIN
        for one in ours:
            if one.get("DeadLetterConfig", {}).get("Arn") != dead:
                yield "the rule's target does not keep undeliverable events in the dead-letter queue", DEPLOY_AGAIN
        if stage.direct and not _may_invoke(stage):
            yield f"rule {stage.rule} may not invoke the function", DEPLOY_AGAIN
        if stage.direct and _failure_destination(stage) != dead:
            yield (
                "what the function gives up is kept nowhere (on-failure destination)",
                DEPLOY_AGAIN,
            )

    return judged(f"{'the function' if stage.direct else stage.buffer_queue}, undeliverable events are kept", faults())


def buffer_queue(stage: Stage) -> Finding:
    """Whether the rule may send to the queue, and the queue gives messages back and up as it should."""
    queue = stage.queue(stage.buffer_queue)
    dead = stage.queue(stage.dead_letter_queue)["QueueArn"]
    visibility = int(queue["VisibilityTimeout"])
    window = max((one.get("MaximumBatchingWindowInSeconds", 0) for one in _mappings(stage)), default=0)
    least = VISIBILITY_TIMES * stage.configuration["Timeout"] + window
    redrive = json.loads(queue.get("RedrivePolicy") or "{}")

    def faults() -> Iterator[tuple[str, str]]:
        yield from _sending_faults(stage, stage.buffer_queue, queue)
        if redrive.get("deadLetterTargetArn") != dead:
            yield f"{stage.buffer_queue} gives messages up without keeping them (no redrive policy)", DEPLOY_AGAIN
        if visibility < least:
            hides = f"{stage.buffer_queue} hides a message for {visibility} s, which is less than {least} s"
            yield f"{hides}: messages are delivered again while they are being processed", DEPLOY_AGAIN

    seen = f"{stage.buffer_queue}: the rule may send, {redrive.get('maxReceiveCount')} deliveries, then dead letter"
    return judged(seen, faults())


def dead_letter_queue(stage: Stage) -> Finding:
    """Whether the rule may send to the dead-letter queue, and it keeps letters long enough."""
    queue = stage.queue(stage.dead_letter_queue)
    seconds = int(queue["MessageRetentionPeriod"])

    def faults() -> Iterator[tuple[str, str]]:
        yield from _sending_faults(stage, stage.dead_letter_queue, queue)
        if seconds < DEAD_LETTER_RETENTION_SECONDS:
            yield f"{stage.dead_letter_queue} keeps letters for {seconds / 86400:.1f} days instead of 14", DEPLOY_AGAIN

    return judged(f"{stage.dead_letter_queue}: the rule may send, letters are kept for 14 days", faults())


def mapping(stage: Stage) -> Finding:
    """Whether the queue's messages reach the function, and only failed ones come back."""
    found = _mappings(stage)

    def faults() -> Iterator[tuple[str, str]]:
        if not found:
            yield f"nothing hands the messages of {stage.buffer_queue} to the function", DEPLOY_AGAIN
        for one in found:
            if one["State"] != "Enabled":
                enable = f"aws lambda update-event-source-mapping --uuid {one['UUID']} --enabled"
                yield f"the event source mapping is {one['State']}: sales wait in the queue", f"Enable it: {enable}"
            if "ReportBatchItemFailures" not in one.get("FunctionResponseTypes", []):
                yield "the mapping ignores which messages failed: failed sales would be lost", DEPLOY_AGAIN

    return judged(f"{stage.buffer_queue} to {stage.function}, enabled, failed messages come back", faults())


def _mappings(stage: Stage) -> list[Mapping[str, Any]]:
    """Return what hands the buffer queue's messages to the function's alias."""
    # Not by the function's name: Lambda lists a mapping to an alias under the alias only.
    answer = stage.client("lambda").list_event_source_mappings(
        EventSourceArn=stage.queue(stage.buffer_queue)["QueueArn"]
    )
    return [one for one in answer["EventSourceMappings"] if one["FunctionArn"] == stage.alias_arn]


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


def _sending_faults(stage: Stage, name: str, queue: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    policy = json.loads(queue.get("Policy") or "{}")
    if not any(_allows_rule(one, stage.event_rule["Arn"]) for one in policy.get("Statement", [])):
        yield f"the policy of {name} does not let rule {stage.rule} send to it", DEPLOY_AGAIN


def _allows_rule(statement: Mapping[str, Any], rule_arn: str) -> bool:
    if statement.get("Effect") != "Allow" or "sqs:SendMessage" not in _several(statement.get("Action")):
        return False
    principal = statement.get("Principal", {})
    services = principal.get("Service") if isinstance(principal, Mapping) else None
    if EVENTS not in _several(services):
        return False
    conditions: Mapping[str, Mapping[str, Any]] = statement.get("Condition", {})
    sources = [value for one in conditions.values() for name, value in one.items() if name.lower() == "aws:sourcearn"]
    return not sources or any(rule_arn in _several(one) for one in sources)


def _may_invoke(stage: Stage) -> bool:
    try:
        policy = json.loads(
            stage.client("lambda").get_policy(FunctionName=stage.function, Qualifier=FUNCTION_ALIAS)["Policy"]
        )
    except stage.client("lambda").exceptions.ResourceNotFoundException:
        return False
    return any(
        one.get("Effect") == "Allow" and EVENTS in _several(one.get("Principal", {}).get("Service"))
        for one in policy.get("Statement", [])
    )


def _failure_destination(stage: Stage) -> str | None:
    client = stage.client("lambda")
    try:
        answer = client.get_function_event_invoke_config(FunctionName=stage.function, Qualifier=FUNCTION_ALIAS)
    except client.exceptions.ResourceNotFoundException:
        return None
    destination: str | None = answer.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    return destination


def _several(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


CHECKS: Final = (
    Check("event rule", rule, DEPLOY_AGAIN),
    Check("rule target", target, DEPLOY_AGAIN),
    Check("buffer queue", buffer_queue, DEPLOY_AGAIN),
    Check("dead-letter queue", dead_letter_queue, DEPLOY_AGAIN),
    Check("queue to function", mapping, DEPLOY_AGAIN),
)
