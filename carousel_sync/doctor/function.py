"""The function: its configuration against the deployed template, and its environment against what the code reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from carousel_sync.doctor.account import DEPLOY_AGAIN
from carousel_sync.doctor.finding import Check, Finding, Status, judged, ok
from carousel_sync.doctor.stage import Stage
from carousel_sync.doctor.template import differences
from lambda_fn.errors import ConfigurationError

LOGICAL_ID: Final = "SyncFunction"
# What the template calls them, all of which GetFunctionConfiguration calls the same.
CHANGED_BY_HAND: Final = f"Somebody changed it by hand. {DEPLOY_AGAIN}"
_COMPARED: Final = ("Runtime", "Handler", "MemorySize", "Timeout", "Architectures", "TracingConfig")


def configuration(stage: Stage) -> Finding:
    """Whether the version that events are delivered to is as the template says, and is the newest one."""
    live, newest = stage.configuration, stage.newest
    if newest.get("State") == "Pending" or newest.get("LastUpdateStatus") == "InProgress":
        return Finding(Status.WARNING, "the function is just being updated", "Look again in a minute.")
    wanted = {name: value for name, value in stage.template.properties(LOGICAL_ID).items() if name in _COMPARED}
    faults = differences(wanted, live) + _reservation_faults(stage)
    if live.get("State", "Active") not in ("Active", "Inactive"):
        faults.append(f"the function's state is {live['State']}: {live.get('StateReason', 'no reason given')}")
    if newest.get("LastUpdateStatus") == "Failed":
        faults.append(f"its last update failed: {newest.get('LastUpdateStatusReason', 'no reason given')}")
    if faults:
        return judged("", [(fault, CHANGED_BY_HAND) for fault in faults])
    if live["CodeSha256"] != newest["CodeSha256"] or differences(wanted, newest):
        seen = f"events are delivered to version {live['Version']}, which is not the newest code or configuration"
        return Finding(Status.WARNING, seen, f"After a roll-back that is as it should be. To end it: {DEPLOY_AGAIN}")
    seen = f"version {live['Version']}: {live['Runtime']}, {live['MemorySize']} MB, {live['Timeout']} s"
    return ok(f"{seen}, as the template says")


def _reservation_faults(stage: Stage) -> list[str]:
    wanted = stage.template.properties(LOGICAL_ID).get("ReservedConcurrentExecutions")
    found = stage.client("lambda").get_function_concurrency(FunctionName=stage.function)
    reserved = found.get("ReservedConcurrentExecutions")
    if wanted is not None:
        return differences({"ReservedConcurrentExecutions": wanted}, found)
    # A reservation of 0 is how the console's "Throttle" button stops a function.
    return [] if reserved is None else [f"its concurrency is limited to {reserved}, the template says nothing of it"]


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
        return judged("", [(fault, CHANGED_BY_HAND) for fault in faults])
    return ok(f"{len(found)} variables, complete, as the template says")


CHECKS: Final = (
    Check("function", configuration, DEPLOY_AGAIN),
    Check("environment", environment, DEPLOY_AGAIN),
)
