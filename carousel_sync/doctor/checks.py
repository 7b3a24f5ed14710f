"""The list of checks, and running them: an error that a check raises becomes a finding too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

from carousel_sync.aws.target import CATALOG_FAILURES
from carousel_sync.doctor import account, alarms, delivery, dynamodb_tables, encryption, function, iceberg_table
from carousel_sync.doctor.finding import Check, Finding, Status
from carousel_sync.doctor.stage import Inconclusive, ResourceMissing, Stage
from carousel_sync.table.status import options_of
from lambda_fn.errors import CarouselSyncError

CHECKS: Final = (
    *account.CHECKS,
    *delivery.CHECKS,
    *encryption.CHECKS,
    account.PUT_EVENTS,
    *function.CHECKS,
    *dynamodb_tables.CHECKS,
    *iceberg_table.CHECKS,
    *alarms.CHECKS,
)

_MISSING_CODES: Final = frozenset(
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
# Several checks need the response of these operations. If one fails, only the check named here reports the error.
_OWNERS: Final = {
    "GetCallerIdentity": "credentials",
    "DescribeStacks": "stack",
    "ListStackResources": "stack",
    "GetTemplate": "function",
    "DescribeRule": "event rule",
    "GetFunctionConfiguration": "function",
}


def run_checks(stage: Stage, started: Callable[[Check], None] = lambda _: None) -> Iterator[tuple[Check, Finding]]:
    """Run every check in order and yield its finding. Changes nothing, and raises no error of AWS.

    If there are no credentials or AWS cannot be reached, the checks after the first are not carried out.
    """
    stopped = False
    for check in CHECKS:
        started(check)
        finding = _depends_on(account.CREDENTIALS.name) if stopped else run_check(check, stage)
        stopped = stopped or (check is account.CREDENTIALS and finding.status is Status.FAILURE)
        yield check, finding


def run_check(check: Check, stage: Stage) -> Finding:
    """Run one check. A check that cannot be carried out is NOT_CHECKED, with the reason."""
    finding = _run(check, stage)
    remedy = finding.remedy.replace("{stage}", stage.target.stage).replace("{options}", options_of(stage.target))
    return replace(finding, remedy=remedy)


def _run(check: Check, stage: Stage) -> Finding:
    try:
        return check.run(stage)
    except (ResourceMissing, NoSuchTableError, NoSuchNamespaceError) as error:
        return Finding(Status.FAILURE, str(error), check.if_missing)
    except Inconclusive as error:
        return Finding(Status.NOT_CHECKED, str(error))
    except ClientError as error:
        return _of_client_error(check, error)
    except BotoCoreError as error:
        return _of_sdk_error(check, error)
    except (CarouselSyncError, *CATALOG_FAILURES) as error:
        return Finding(Status.NOT_CHECKED, f"{type(error).__name__}: {error}")


def _of_sdk_error(check: Check, error: BotoCoreError) -> Finding:
    """Return a finding for a request without a response: there are no credentials, or AWS was not reached."""
    unreachable = isinstance(error, ConnectionFailed | HTTPClientError)
    network = "Check the network, the proxy (HTTPS_PROXY) and the region (AWS_REGION)."
    return Finding(_credentials_status(check), str(error), network if unreachable else account.CREDENTIALS.if_missing)


def _of_client_error(check: Check, error: ClientError) -> Finding:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "") or code
    owner = _OWNERS.get(error.operation_name, check.name)
    if owner != check.name:
        return _depends_on(owner, f": {message}")
    if code in _MISSING_CODES or (code == "ValidationError" and "does not exist" in message):
        return Finding(Status.FAILURE, f"it does not exist: {message}", check.if_missing)
    if code in _BAD_CREDENTIALS_CODES:
        seen = f"AWS rejects the credentials: {message}"
        return Finding(_credentials_status(check), seen, account.CREDENTIALS.if_missing)
    if "AccessDenied" in code or "Unauthorized" in code or code in {"AuthorizationError", "403"}:
        return Finding(
            Status.NOT_CHECKED,
            f"these credentials may not {error.operation_name}: {message}",
            "Allow it, or use a role that may read everything in the stage.",
        )
    return Finding(Status.NOT_CHECKED, f"{error.operation_name} failed with {code}: {message}")


def _depends_on(check_name: str, reason: str = "") -> Finding:
    return Finding(Status.NOT_CHECKED, f"it needs what the check {check_name!r} could not read{reason}")


def _credentials_status(check: Check) -> Status:
    return Status.FAILURE if check is account.CREDENTIALS else Status.NOT_CHECKED
