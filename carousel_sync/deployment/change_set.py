"""Creates, executes and deletes CloudFormation change sets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import STACK_NAME, Target
from lambda_fn.errors import ConfigurationError

CAPABILITIES: Final = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_WAIT_SECONDS: Final = 1800.0
_POLL_SECONDS: Final = 2.0
_POLL_SECONDS_LOCAL: Final = 0.1
# AWS would accept a change. But the files of a table bucket keep the key that they were written with (Amazon S3 User
# Guide, "Using server-side encryption with AWS KMS keys in table buckets"), and without the option the role may not
# use it.
_FIXED_PARAMETER: Final = "CustomerManagedKey"
_AFTER_FAILURE: Final = (
    "The previous deployment is still running. Fix the cause, then deploy again: carousel-sync deploy --stage {stage}"
)
_AFTER_FIRST_FAILURE: Final = (
    "This was the first deployment: everything that it created was deleted again, its stores too. Only a stack "
    "without resources is left. Fix the cause, delete the stack (aws cloudformation delete-stack --stack-name "
    "{stack}), then deploy again: carousel-sync deploy --stage {stage}"
)
_NO_CHANGES: Final = ("didn't contain changes", "No updates are to be performed", "no changes")


@dataclass(frozen=True)
class Change:
    """A change to one resource. ``replaced``: a new resource is created, and the old one is deleted or left behind."""

    action: str
    logical_id: str
    type: str
    replaced: bool


@dataclass(frozen=True)
class ChangeSet:
    """A change set that was created. ``changes`` is empty if there is nothing to do."""

    stack: str
    name: str
    creates_stack: bool
    changes: tuple[Change, ...]


def stack_status(target: Target) -> str | None:
    """Return the status of the stage's stack, or None if the stack does not exist."""
    return (cloudformation.describe(target) or {}).get("StackStatus")


def creates_stack(target: Target) -> bool:
    """Return whether a change set creates the stack: it does not exist, or only as the result of a change set."""
    return stack_status(target) in (None, "REVIEW_IN_PROGRESS")


def create(target: Target, template_url: str, template: str, parameters: Mapping[str, str]) -> ChangeSet:
    """Create a change set and wait until CloudFormation has computed its changes. Changes no resource.

    Parameters that are not given keep their present values, or else the template's defaults. Raises ConfigurationError
    with CloudFormation's reason if it refuses the template, and for a parameter that can't be changed; then nothing is
    left behind.
    """
    stack = STACK_NAME.format(stage=target.stage)
    creates = creates_stack(target)
    client = target.client("cloudformation")
    name = f"deploy-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    present = {} if creates else cloudformation.parameters(cloudformation.describe(target))
    if not creates:
        _refuse_change_of_fixed_parameter(present, parameters)
    unchanged = (key for key in sorted(present.keys() - parameters.keys()) if key in template)
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in unchanged]
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in sorted(parameters.items())]
    client.create_change_set(
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType="CREATE" if creates else "UPDATE",
        TemplateURL=template_url,
        Parameters=kept + given,
        Capabilities=list(CAPABILITIES),
        Tags=[{"Key": "project", "Value": "carousel-sync"}, {"Key": "stage", "Value": target.stage}],
    )
    description = _wait(
        target,
        lambda: client.describe_change_set(StackName=stack, ChangeSetName=name),
        lambda answer: answer["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"),
    )
    if description["Status"] == "FAILED":
        empty = ChangeSet(stack, name, creates, ())
        delete(target, empty)
        reason = description.get("StatusReason", "no reason given")
        if any(text in reason for text in _NO_CHANGES):
            return empty
        raise ConfigurationError(f"CloudFormation refused the template: {reason}. Nothing was changed.")
    pages = client.get_paginator("describe_change_set").paginate(StackName=stack, ChangeSetName=name)
    changes = (_change(entry["ResourceChange"]) for page in pages for entry in page.get("Changes", []))
    return ChangeSet(stack, name, creates, tuple(changes))


def execute(target: Target, change_set: ChangeSet, show: Callable[[str], None]) -> None:
    """Execute the change set and wait until it is done; ``show`` receives each event of the stack.

    Raises ConfigurationError with the reasons if it fails; CloudFormation has then restored the previous state. After a
    first deployment that failed, no store is left behind: all were new and empty, and the next try creates them again.
    """
    client = target.client("cloudformation")
    seen = {event["EventId"] for event in _events(target, change_set.stack)}
    # A store that an update creates is retained when the update fails: an event may have been delivered to it already.
    client.execute_change_set(
        StackName=change_set.stack, ChangeSetName=change_set.name, RetainExceptOnCreate=change_set.creates_stack
    )
    failures: list[str] = []

    def status() -> str:
        for event in reversed(_events(target, change_set.stack)):
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            show(f"{event['LogicalResourceId']} {event['ResourceStatus']}")
            if event["ResourceStatus"].endswith("_FAILED"):
                reason = event.get("ResourceStatusReason", "no reason given")
                failures.append(f"  {event['LogicalResourceId']}: {reason}")
        return stack_status(target) or "DELETED"

    ended = _wait(target, status, _has_ended)
    if ended not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reasons = "\n".join(failures) or "  no reason given"
        advice = _AFTER_FIRST_FAILURE if change_set.creates_stack else _AFTER_FAILURE
        advice = advice.format(stack=change_set.stack, stage=target.stage)
        raise ConfigurationError(f"The deployment ended with {ended}:\n{reasons}\n{advice}")


def delete(target: Target, change_set: ChangeSet) -> None:
    """Delete the change set, and its stack if the stack has no resources."""
    client = target.client("cloudformation")
    client.delete_change_set(StackName=change_set.stack, ChangeSetName=change_set.name)
    if change_set.creates_stack and stack_status(target) == "REVIEW_IN_PROGRESS":
        client.delete_stack(StackName=change_set.stack)


def delete_stack(target: Target) -> None:
    """Delete the stack and wait until it is gone. Raises ConfigurationError if resources could not be deleted."""
    stack = STACK_NAME.format(stage=target.stage)
    target.client("cloudformation").delete_stack(StackName=stack)
    status = _wait(target, lambda: stack_status(target) or "DELETE_COMPLETE", _has_ended)
    if status != "DELETE_COMPLETE":
        raise ConfigurationError(
            f"Stack {stack} could not be deleted completely: {status}. To see which resources are left, and why: aws "
            f"cloudformation describe-stack-events --stack-name {stack}"
        )


def _has_ended(status: str) -> bool:
    return not status.endswith("_IN_PROGRESS")


def _refuse_change_of_fixed_parameter(present: Mapping[str, str], given: Mapping[str, str]) -> None:
    value = present.get(_FIXED_PARAMETER, "false")
    if given.get(_FIXED_PARAMETER, value) != value:
        raise ConfigurationError(
            f"This stage has {_FIXED_PARAMETER}={value}, which can't be changed: the table's files keep the encryption "
            "that they were written with, and a function without permission to use the key could not read those that "
            f"need it. Nothing was changed. Leave {_FIXED_PARAMETER} out, or deploy another stage with it."
        )


def _change(described: Mapping[str, Any]) -> Change:
    replaced = described.get("Replacement") in ("True", "Conditional")
    return Change(described["Action"], described["LogicalResourceId"], described["ResourceType"], replaced)


def _events(target: Target, stack: str) -> list[dict[str, Any]]:
    try:
        return list(target.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"])
    except ClientError:
        return []


def _wait(target: Target, look: Callable[[], Any], has_ended: Callable[[Any], bool]) -> Any:
    pause = _POLL_SECONDS_LOCAL if target.endpoint_url else _POLL_SECONDS
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        answer = look()
        if has_ended(answer):
            return answer
        if time.monotonic() > deadline:
            stack = STACK_NAME.format(stage=target.stage)
            raise ConfigurationError(
                f"CloudFormation has not finished after {_WAIT_SECONDS / 60:.0f} minutes, and continues by itself. "
                f"To see its state: aws cloudformation describe-stacks --stack-name {stack}"
            )
        time.sleep(pause)
