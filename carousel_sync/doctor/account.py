"""Checks of the credentials and region, the stack itself, and the permission to put events."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import ClientError

from carousel_sync.doctor.finding import DEPLOY_AGAIN, Fault, Result, Status
from carousel_sync.doctor.stage import Inconclusive, Stage

_COMPLETE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


def credentials(stage: Stage) -> Result:
    """Check that the credentials work, and show whose they are and the region."""
    return [f"{stage.identity['Arn']} in {stage.target.region}"]


def stack(stage: Stage) -> Result:
    """Check that the last deployment completed."""
    status = stage.stack["StackStatus"]
    seen = f"stack {stage.stack_name}: {status}, {'direct' if stage.direct else 'queue'} delivery"
    if status in _COMPLETE:
        return [seen]
    if status.endswith("_IN_PROGRESS"):
        problem = f"{seen}: a deployment is in progress"
        return [Fault(problem, "Wait until it ends, then check again.", Status.WARNING)]
    problem = f"{seen} ({stage.stack.get('StackStatusReason') or 'no reason given'})"
    if status == "UPDATE_ROLLBACK_COMPLETE":
        remedy = "The last update was rolled back, and the previous deployment is in effect. Read the stack's events."
        return [Fault(problem, f"{remedy} {DEPLOY_AGAIN}", Status.WARNING)]
    return [Fault(problem, f"Read the stack's events. {DEPLOY_AGAIN}")]


def put_events(stage: Stage) -> Result:
    """Check that the producer, or these credentials, may put events on the bus. IAM simulates it; nothing is sent."""
    principal = stage.producer or _principal(stage)
    account = stage.identity["Account"]
    partition = stage.identity["Arn"].split(":")[1]
    bus = f"arn:{partition}:events:{stage.target.region}:{account}:event-bus/{stage.bus}"
    if principal == f"arn:{partition}:iam::{account}:root":
        return [f"the account's root user may put events on bus {stage.bus}: no policy of the account limits it"]
    answer = stage.client("iam").simulate_principal_policy(
        PolicySourceArn=principal, ActionNames=["events:PutEvents"], ResourceArns=[bus]
    )
    decision = answer["EvaluationResults"][0]["EvalDecision"]
    if decision == "allowed":
        return [f"{principal} may put events on bus {stage.bus}"]
    effect = "The producer's sales do not arrive." if stage.producer else "carousel-sync send and simulate are refused."
    return [
        Fault(
            f"{principal} may not put events on bus {stage.bus} ({decision})",
            f"{effect} Allow events:PutEvents on {bus}, or name the producer's role: --producer ARN.",
            Status.FAILURE if stage.producer else Status.WARNING,
        )
    ]


def _principal(stage: Stage) -> str:
    """Return the user or role behind these credentials: IAM does not simulate sessions."""
    arn = stage.identity["Arn"]
    if ":assumed-role/" not in arn:
        return arn
    try:
        found: str = stage.client("iam").get_role(RoleName=arn.split("/")[1])["Role"]["Arn"]
    except ClientError as error:
        raise Inconclusive(f"the role behind {arn} can't be read ({error}); name it: --producer ARN") from error
    return found
