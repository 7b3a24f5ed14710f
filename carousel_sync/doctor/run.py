"""All checks, in their order, each of them to an end: what it raises is a finding, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

from carousel_sync.aws.target import CATALOG_FAILURES
from carousel_sync.doctor import account, delivery, encryption, function, iceberg, state, tables
from carousel_sync.doctor.finding import Check, Finding, Status
from carousel_sync.doctor.stage import CannotTell, NotThere, Stage
from lambda_fn.errors import CarouselSyncError

CHECKS: Final = (
    *account.CHECKS,
    *delivery.CHECKS,
    *encryption.CHECKS,
    account.PUT_EVENTS,
    *function.CHECKS,
    *tables.CHECKS,
    *iceberg.CHECKS,
    *state.CHECKS,
)

_NOT_THERE_CODES: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "NoSuchEntity",
        "NoSuchKey",
        "NotFoundException",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "404",
    }
)
_BAD_CREDENTIALS_CODES: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
# What several checks go by. Only one of them reports that it can't be had; the others can't tell.
_OWNERS: Final = {
    "GetCallerIdentity": "credentials",
    "DescribeStacks": "stack",
    "ListStackResources": "stack",
    "GetTemplate": "function",
    "DescribeRule": "event rule",
    "GetFunctionConfiguration": "function",
}


NOT_BEGUN: Final = Finding(Status.NOT_CHECKED, f"it needs what check {account.CREDENTIALS.name!r} could not read")


def examine(stage: Stage, begun: Callable[[Check], None] = lambda _: None) -> Iterator[tuple[Check, Finding]]:
    """Carry out every check and yield what it finds, in order. Changes nothing, and raises nothing that AWS raises.

    Without credentials, or where AWS can't be reached, only the first is carried out.
    """
    stopped = False
    for check in CHECKS:
        begun(check)
        finding = NOT_BEGUN if stopped else carry_out(check, stage)
        stopped = stopped or (check is account.CREDENTIALS and finding.status is Status.FAILURE)
        yield check, finding


def carry_out(check: Check, stage: Stage) -> Finding:
    """Carry out one check; one that can't be carried out ends as NOT_CHECKED, with the reason."""
    finding = _carry_out(check, stage)
    return replace(finding, remedy=finding.remedy.replace("{stage}", stage.target.stage))


def _carry_out(check: Check, stage: Stage) -> Finding:
    try:
        return check.look(stage)
    except (NotThere, NoSuchTableError, NoSuchNamespaceError) as error:
        return Finding(Status.FAILURE, str(error), check.if_missing)
    except CannotTell as error:
        return Finding(Status.NOT_CHECKED, str(error))
    except ClientError as error:
        return _refused(check, error)
    except BotoCoreError as error:
        return _not_answered(check, error)
    except (CarouselSyncError, *CATALOG_FAILURES) as error:
        return Finding(Status.NOT_CHECKED, f"{type(error).__name__}: {error}")


def _not_answered(check: Check, error: BotoCoreError) -> Finding:
    """Return why the SDK had no answer: there are no credentials, or nobody was reached."""
    reached = not isinstance(error, ConnectionFailed | HTTPClientError)
    network = "Check the network, the proxy (HTTPS_PROXY) and the region (AWS_REGION)."
    status = Status.FAILURE if check is account.CREDENTIALS else Status.NOT_CHECKED
    return Finding(status, str(error), account.CREDENTIALS.if_missing if reached else network)


def _refused(check: Check, error: ClientError) -> Finding:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "") or code
    owner = _OWNERS.get(error.operation_name, check.name)
    if owner != check.name:
        return Finding(Status.NOT_CHECKED, f"it needs what check {owner!r} could not read: {message}")
    if code in _NOT_THERE_CODES or (code == "ValidationError" and "does not exist" in message):
        return Finding(Status.FAILURE, f"it is not there: {message}", check.if_missing)
    if code in _BAD_CREDENTIALS_CODES:
        status = Status.FAILURE if check is account.CREDENTIALS else Status.NOT_CHECKED
        return Finding(status, f"the credentials are refused: {message}", account.CREDENTIALS.if_missing)
    if "AccessDenied" in code or "Unauthorized" in code or code in {"AuthorizationError", "403"}:
        return Finding(
            Status.NOT_CHECKED,
            f"these credentials may not {error.operation_name}: {message}",
            "Allow it, or use a role that may read everything of the stage.",
        )
    return Finding(Status.NOT_CHECKED, f"{error.operation_name} failed with {code}: {message}")
