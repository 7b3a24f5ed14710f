"""The function: its configuration against the deployed template, and its environment against what the code reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lambda_fn.errors import ConfigurationError
from ops.doctor.account import DEPLOY_AGAIN
from ops.doctor.finding import Check, Finding, Status, judged, ok
from ops.doctor.stage import Stage
from ops.doctor.template import differences

LOGICAL_ID: Final = "SyncFunction"
# What the template calls them, all of which GetFunctionConfiguration calls the same.
_COMPARED: Final = ("Runtime", "Handler", "MemorySize", "Timeout", "Architectures", "TracingConfig")


def configuration(stage: Stage) -> Finding:
    """Whether the function is as the template says, and ready."""
    found = stage.configuration
    wanted = stage.template.properties(LOGICAL_ID)
    faults = differences({name: wanted[name] for name in _COMPARED if name in wanted}, found)
    if reserved := wanted.get("ReservedConcurrentExecutions"):
        answer = stage.client("lambda").get_function_concurrency(FunctionName=stage.function)
        faults += differences({"ReservedConcurrentExecutions": reserved}, answer)
    if found.get("State") == "Pending" or found.get("LastUpdateStatus") == "InProgress":
        return Finding(Status.WARNING, "the function is just being updated", "Look again in a minute.")
    if found.get("State", "Active") not in ("Active", "Inactive"):
        faults.append(f"the function's state is {found['State']}: {found.get('StateReason', 'no reason given')}")
    if found.get("LastUpdateStatus") == "Failed":
        faults.append(f"its last update failed: {found.get('LastUpdateStatusReason', 'no reason given')}")
    seen = f"{found['Runtime']}, {found['MemorySize']} MB, {found['Timeout']} s, as the template says"
    return judged(seen, [(fault, f"Somebody changed it by hand. {DEPLOY_AGAIN}") for fault in faults])


def environment(stage: Stage) -> Finding:
    """Whether the function's own settings can be read from its environment, and are the template's."""
    try:
        settings = stage.settings
    except ConfigurationError as error:
        return Finding(Status.FAILURE, str(error), f"Every event stays in the queue until then. {DEPLOY_AGAIN}")
    wanted: Mapping[str, Any] = stage.template.properties(LOGICAL_ID).get("Environment", {}).get("Variables", {})
    found: Mapping[str, str] = stage.configuration.get("Environment", {}).get("Variables", {})
    faults = differences(wanted, found)
    warehouse = settings.catalog.warehouse
    if warehouse.startswith("arn:") and f":{settings.region}:" not in warehouse:
        faults.append(f"the table bucket {warehouse} is not in region {settings.region}")
    if faults:
        return judged("", [(fault, f"Somebody changed it by hand. {DEPLOY_AGAIN}") for fault in faults])
    return ok(f"{len(found)} variables, complete, as the template says")


CHECKS: Final = (
    Check("function", configuration, DEPLOY_AGAIN),
    Check("environment", environment, DEPLOY_AGAIN),
)
