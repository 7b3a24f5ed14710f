"""A CloudFormation change set: made, looked at, carried out or thrown away."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from carousel_sync.aws.target import STACK_NAME, Target
from lambda_fn.errors import ConfigurationError

CAPABILITIES: Final = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_WAIT_SECONDS: Final = 1800.0
_POLL_SECONDS: Final = 2.0
_POLL_SECONDS_LOCAL: Final = 0.1
# AWS would carry it out: but a table bucket's files keep the key that they were written with (Amazon S3 User Guide,
# "Using server-side encryption with AWS KMS keys in table buckets"), and without the option the role may not use it.
_CHOSEN_ONCE: Final = {"CustomerManagedKey": "false"}
_NOTHING_TO_DO: Final = ("didn't contain changes", "No updates are to be performed", "no changes")


@dataclass(frozen=True)
class Change:
    """What would happen to one resource. ``replaced``: a new one is made, and the old one goes or is left behind."""

    action: str
    logical_id: str
    kind: str
    replaced: bool


@dataclass(frozen=True)
class ChangeSet:
    """A change set that was made. ``changes`` is empty when there is nothing to do."""

    stack: str
    name: str
    creates: bool
    changes: tuple[Change, ...]


def stack_status(target: Target, stack: str) -> str | None:
    """Return the stack's status, or None when there is none."""
    try:
        stacks = target.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return str(stacks[0]["StackStatus"]) if stacks else None


def creates_stack(status: str | None) -> bool:
    """Return whether a change set makes the stack: there is none, or only one that a change set announced."""
    return status in (None, "REVIEW_IN_PROGRESS")


def make(target: Target, template_url: str, template: str, parameters: Mapping[str, str]) -> ChangeSet:
    """Make a change set and wait until it can be looked at. Changes nothing that runs.

    Parameters that are left out keep their present values, or take the template's defaults. Raises ConfigurationError
    with CloudFormation's reason when it can't be made, and for a parameter that can't be changed any more; nothing is
    left behind then.
    """
    stack = STACK_NAME.format(stage=target.stage)
    creates = creates_stack(stack_status(target, stack))
    client = target.client("cloudformation")
    name = f"deploy-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    present = {} if creates else _present_parameters(target, stack)
    if not creates:
        _refuse_a_change_of_what_is_chosen_once(present, parameters)
    kept = [
        {"ParameterKey": key, "UsePreviousValue": True}
        for key in sorted(present.keys() - parameters.keys())
        if key in template
    ]
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in sorted(parameters.items())]
    request: dict[str, Any] = {
        "StackName": stack,
        "ChangeSetName": name,
        "ChangeSetType": "CREATE" if creates else "UPDATE",
        "TemplateURL": template_url,
        "Parameters": kept + given,
        "Capabilities": list(CAPABILITIES),
        "Tags": [{"Key": "project", "Value": "carousel-sync"}, {"Key": "stage", "Value": target.stage}],
    }
    client.create_change_set(**request)
    description = _wait(
        target,
        lambda: client.describe_change_set(StackName=stack, ChangeSetName=name),
        lambda answer: answer["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"),
    )
    if description["Status"] == "FAILED":
        reason = description.get("StatusReason", "no reason given")
        discard(target, ChangeSet(stack, name, creates, ()))
        if any(text in reason for text in _NOTHING_TO_DO):
            return ChangeSet(stack, name, creates, ())
        raise ConfigurationError(f"CloudFormation refuses the template: {reason}. Nothing was changed.")
    return ChangeSet(stack, name, creates, tuple(_changes(target, stack, name)))


def carry_out(target: Target, change_set: ChangeSet, tell: Callable[[str], None]) -> None:
    """Carry the change set out and wait for the end, telling each step.

    Raises ConfigurationError with the reasons when it fails: CloudFormation has gone back to what was there before. A
    first deployment leaves no store behind then: they are as empty as they are new, and the next try makes them again.
    """
    client = target.client("cloudformation")
    seen = {event["EventId"] for event in _events(target, change_set.stack)}
    # In an update, what it made is retained: an event may have been delivered to a new store already.
    client.execute_change_set(
        StackName=change_set.stack, ChangeSetName=change_set.name, RetainExceptOnCreate=change_set.creates
    )
    failed: list[str] = []

    def look() -> str:
        for event in reversed(_events(target, change_set.stack)):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                tell(f"{event['LogicalResourceId']} {event['ResourceStatus']}")
                if event["ResourceStatus"].endswith("_FAILED"):
                    failed.append(
                        f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
                    )
        return stack_status(target, change_set.stack) or "DELETED"

    status = _wait(target, look, lambda answer: not answer.endswith("_IN_PROGRESS"))
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reasons = "\n".join(failed) or "  no reason given"
        raise ConfigurationError(f"The deployment ended as {status}:\n{reasons}\n{_what_is_left(change_set)}")


def _what_is_left(change_set: ChangeSet) -> str:
    if not change_set.creates:
        return "What ran before runs on. Once the reason is mended, deploy again."
    return (
        "It was the first deployment: what it made is deleted again, its stores too. What is left is a stack without "
        "resources, to be deleted before the next try: aws cloudformation delete-stack --stack-name "
        f"{change_set.stack}"
    )


def discard(target: Target, change_set: ChangeSet) -> None:
    """Throw the change set away, and with it a stack that consists of nothing else."""
    client = target.client("cloudformation")
    client.delete_change_set(StackName=change_set.stack, ChangeSetName=change_set.name)
    if change_set.creates and stack_status(target, change_set.stack) == "REVIEW_IN_PROGRESS":
        client.delete_stack(StackName=change_set.stack)


def delete_stack(target: Target, stack: str) -> None:
    """Delete the stack and wait for the end. Raises ConfigurationError when resources could not be deleted."""
    target.client("cloudformation").delete_stack(StackName=stack)
    status = _wait(
        target,
        lambda: stack_status(target, stack) or "DELETE_COMPLETE",
        lambda answer: not answer.endswith("_IN_PROGRESS"),
    )
    if status != "DELETE_COMPLETE":
        raise ConfigurationError(
            f"Stack {stack} could not be deleted: {status}. What is left of it, and why: aws cloudformation "
            f"describe-stack-events --stack-name {stack}"
        )


def _present_parameters(target: Target, stack: str) -> dict[str, str]:
    described = target.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in described.get("Parameters", [])}


def _refuse_a_change_of_what_is_chosen_once(present: Mapping[str, str], given: Mapping[str, str]) -> None:
    for name, default in _CHOSEN_ONCE.items():
        value = present.get(name, default)
        if given.get(name, value) != value:
            raise ConfigurationError(
                f"This stage has {name}={value}, and that can't be changed: the table's files keep the encryption that "
                "they were written with, and a function without the right to the key could not read those that have "
                f"it. Nothing was changed. Leave {name} out, or deploy another stage with {name}={given[name]}."
            )


def _changes(target: Target, stack: str, name: str) -> Iterator[Change]:
    client = target.client("cloudformation")
    token: dict[str, str] = {}
    while True:
        answer = client.describe_change_set(StackName=stack, ChangeSetName=name, **token)
        for entry in answer.get("Changes", []):
            change = entry["ResourceChange"]
            yield Change(
                action=change["Action"],
                logical_id=change["LogicalResourceId"],
                kind=change["ResourceType"],
                replaced=change.get("Replacement") in ("True", "Conditional"),
            )
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _events(target: Target, stack: str) -> list[dict[str, Any]]:
    try:
        events: list[dict[str, Any]] = target.client("cloudformation").describe_stack_events(StackName=stack)[
            "StackEvents"
        ]
    except ClientError:
        return []
    return events


def _wait(target: Target, look: Callable[[], Any], ended: Callable[[Any], bool]) -> Any:
    pause = _POLL_SECONDS_LOCAL if target.endpoint_url else _POLL_SECONDS
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        answer = look()
        if ended(answer):
            return answer
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"CloudFormation is still at it after {_WAIT_SECONDS / 60:.0f} minutes. It goes on by itself; look: "
                f"aws cloudformation describe-stacks --stack-name {STACK_NAME.format(stage=target.stage)}"
            )
        time.sleep(pause)
