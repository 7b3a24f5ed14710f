"""The CloudFormation stack of a stage."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from carousel_sync.aws.target import STACK_NAME, Target


def describe(target: Target) -> dict[str, Any] | None:
    """Return CloudFormation's description of the stack, or None when the stack does not exist.

    Raises botocore's errors when CloudFormation can't be reached or refuses the request.
    """
    try:
        name = STACK_NAME.format(stage=target.stage)
        stacks: list[dict[str, Any]] = target.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return stacks[0] if stacks else None


def outputs(description: dict[str, Any] | None) -> dict[str, str]:
    """Return the stack's outputs by name. A stack that does not exist has none."""
    return {output["OutputKey"]: output["OutputValue"] for output in (description or {}).get("Outputs", [])}


def parameters(description: dict[str, Any] | None) -> dict[str, str]:
    """Return the stack's parameters by name. A stack that does not exist has none."""
    return {given["ParameterKey"]: given["ParameterValue"] for given in (description or {}).get("Parameters", [])}
