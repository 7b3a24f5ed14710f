"""The list of checks, and running them: an error that a check raises becomes a finding too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

from carousel_sync.aws.target import CATALOG_FAILURES
from carousel_sync.doctor import (
    account,
    alarms,
    commit_queue,
    delivery,
    dynamodb_tables,
    encryption,
    function,
    iceberg_table,
)
from carousel_sync.doctor.finding import DEPLOY_AGAIN, Check, Finding, Status, finding_of
from carousel_sync.doctor.stage import Inconclusive, ResourceMissing, Stage
from lambda_fn.errors import CarouselSyncError

CREDENTIALS: Final = Check(
    "credentials", account.credentials, "Sign in (aws sso login), or set AWS_PROFILE or the AWS_ variables of a key."
)
CHECKS: Final = (
    CREDENTIALS,
    Check("stack", account.stack, f"Check --stage, the region (AWS_REGION) and --stack-name. {DEPLOY_AGAIN}"),
    Check("event rule", delivery.rule),
    Check("rule target", delivery.target),
    Check("buffer queue", delivery.buffer_queue),
    Check("dead-letter queue", delivery.dead_letter_queue),
    Check("queue to function", delivery.mapping),
    Check("encryption", encryption.encryption, f"{encryption.EFFECT}Restore the key, or deploy the stack again."),
    Check("put events", account.put_events, "Name an existing principal: --producer ARN."),
    Check("function", function.configuration),
    Check("environment", function.environment),
    Check("look-up of every sale", function.sale_look_up),
    Check("guard table", dynamodb_tables.guard, dynamodb_tables.MISSING_TABLE),
    Check("group commit", commit_queue.group_commit, dynamodb_tables.MISSING_TABLE),
    Check("projection table", dynamodb_tables.projection, dynamodb_tables.MISSING_TABLE),
    Check("projection recovery", dynamodb_tables.recovery, dynamodb_tables.MISSING_TABLE),
    Check("table bucket", iceberg_table.bucket),
    Check("namespace", iceberg_table.namespace, iceberg_table.CREATE),
    Check("Iceberg table", iceberg_table.schema, iceberg_table.CREATE),
    Check("maintenance", iceberg_table.maintenance, iceberg_table.CREATE),
    Check("table metadata", iceberg_table.metadata, iceberg_table.CREATE),
    Check("last commit", iceberg_table.last_commit, iceberg_table.CREATE),
    Check("dead letters", alarms.dead_letters),
    Check("alarms", alarms.alarms),
)

# Parts of error codes.
_MISSING: Final = ("NotFound", "NoSuch", "NonExistent", "DoesNotExist", "404")
_BAD_CREDENTIALS: Final = ("ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClient")
_DENIED: Final = ("AccessDenied", "Unauthorized", "AuthorizationError", "403")
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
        finding = _depends_on(CREDENTIALS.name) if stopped else run_check(check, stage)
        stopped = stopped or (check is CREDENTIALS and finding.status is Status.FAILURE)
        yield check, finding


def run_check(check: Check, stage: Stage) -> Finding:
    """Run one check. A check that cannot be carried out is NOT_CHECKED, with the reason."""
    finding = _run(check, stage)
    remedy = finding.remedy.replace("{stage}", stage.target.stage).replace("{options}", stage.target.flags)
    return replace(finding, remedy=remedy)


def _run(check: Check, stage: Stage) -> Finding:
    try:
        return finding_of(check.run(stage))
    except (ResourceMissing, NoSuchTableError, NoSuchNamespaceError) as error:
        return Finding(Status.FAILURE, str(error), check.if_missing)
    except Inconclusive as error:
        return Finding(Status.NOT_CHECKED, str(error))
    except ClientError as error:
        return _of_client_error(check, error)
    except BotoCoreError as error:
        # A request without a response: there are no credentials, or AWS was not reached.
        unreachable = isinstance(error, ConnectionFailed | HTTPClientError)
        network = "Check the network, the proxy (HTTPS_PROXY) and the region (AWS_REGION)."
        return Finding(_credentials_status(check), str(error), network if unreachable else CREDENTIALS.if_missing)
    except (CarouselSyncError, *CATALOG_FAILURES) as error:
        return Finding(Status.NOT_CHECKED, f"{type(error).__name__}: {error}")


def _of_client_error(check: Check, error: ClientError) -> Finding:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "") or code
    owner = _OWNERS.get(error.operation_name, check.name)
    if owner != check.name:
        return _depends_on(owner, f": {message}")
    if any(part in code for part in _MISSING) or (code == "ValidationError" and "does not exist" in message):
        return Finding(Status.FAILURE, f"it does not exist: {message}", check.if_missing)
    if any(part in code for part in _BAD_CREDENTIALS):
        seen = f"AWS rejects the credentials: {message}"
        return Finding(_credentials_status(check), seen, CREDENTIALS.if_missing)
    if any(part in code for part in _DENIED):
        seen = f"these credentials may not {error.operation_name}: {message}"
        return Finding(Status.NOT_CHECKED, seen, "Allow it, or use a role that may read everything in the stage.")
    return Finding(Status.NOT_CHECKED, f"{error.operation_name} failed with {code}: {message}")


def _depends_on(check_name: str, reason: str = "") -> Finding:
    return Finding(Status.NOT_CHECKED, f"it needs what the check {check_name!r} could not read{reason}")


def _credentials_status(check: Check) -> Status:
    return Status.FAILURE if check is CREDENTIALS else Status.NOT_CHECKED
