"""Credentials and region, the stack itself, and whether these credentials may put events."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import ClientError

from carousel_sync.doctor.finding import Check, Finding, Status, judged, ok
from carousel_sync.doctor.stage import CannotTell, Stage

DEPLOY_AGAIN: Final = "Deploy again: make deploy STAGE={stage} (docs/deployment.md)."
_COMPLETE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


def credentials(stage: Stage) -> Finding:
    """Whose credentials these are, and in which region they are used."""
    return ok(f"{stage.identity['Arn']} in {stage.target.region}")


def stack(stage: Stage) -> Finding:
    """Whether the last deployment came to its end."""
    status = stage.stack["StackStatus"]
    seen = f"stack {stage.stack_name}: {status}, {'direct' if stage.direct else 'queue'} delivery"
    if status in _COMPLETE:
        return ok(seen)
    reason = stage.stack.get("StackStatusReason") or "no reason given"
    if status.endswith("_IN_PROGRESS"):
        return Finding(Status.WARNING, f"{seen}: a deployment is under way", "Wait until it has ended, and look again.")
    if status == "UPDATE_ROLLBACK_COMPLETE":
        remedy = "The last update was rolled back; what was there before is in effect. Read the stack's events."
        return Finding(Status.WARNING, f"{seen} ({reason})", f"{remedy} {DEPLOY_AGAIN}")
    return Finding(Status.FAILURE, f"{seen} ({reason})", f"Read the stack's events. {DEPLOY_AGAIN}")


def put_events(stage: Stage) -> Finding:
    """Whether the producer, or these credentials, may put events on the bus. IAM simulates it: nothing is sent."""
    principal = stage.producer or _principal(stage)
    account = stage.identity["Account"]
    partition = stage.identity["Arn"].split(":")[1]
    bus = f"arn:{partition}:events:{stage.target.region}:{account}:event-bus/{stage.bus}"
    if principal == f"arn:{partition}:iam::{account}:root":
        return ok(f"the account's root user may put events on bus {stage.bus}: no policy of the account limits it")
    answer = stage.client("iam").simulate_principal_policy(
        PolicySourceArn=principal, ActionNames=["events:PutEvents"], ResourceArns=[bus]
    )
    decision = answer["EvaluationResults"][0]["EvalDecision"]
    if decision == "allowed":
        return ok(f"{principal} may put events on bus {stage.bus}")
    whose = "The producer's sales do not arrive." if stage.producer else "carousel-sync send and simulate are refused."
    return judged(
        "",
        [
            (
                f"{principal} may not put events on bus {stage.bus} ({decision})",
                f"{whose} Allow events:PutEvents on {bus}, or name the producer's role: --producer ARN.",
            )
        ],
        Status.FAILURE if stage.producer else Status.WARNING,
    )


def _principal(stage: Stage) -> str:
    """Return the user or role behind these credentials: IAM simulates no session."""
    arn = stage.identity["Arn"]
    if ":assumed-role/" not in arn:
        return arn
    role = arn.split("/")[1]
    try:
        found: str = stage.client("iam").get_role(RoleName=role)["Role"]["Arn"]
    except ClientError as error:
        raise CannotTell(f"the role behind {arn} can't be read ({error}); name it: --producer ARN") from error
    return found


CREDENTIALS: Final = Check(
    "credentials", credentials, "Sign in (aws sso login), or set AWS_PROFILE or the AWS_ variables of a key."
)
CHECKS: Final = (
    CREDENTIALS,
    Check("stack", stack, f"Check --stage, the region (AWS_REGION) and --stack-name. {DEPLOY_AGAIN}"),
)
PUT_EVENTS: Final = Check("put events", put_events, "Name a principal that exists: --producer ARN.")
