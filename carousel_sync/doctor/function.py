"""Checks of the function: its configuration and environment against the deployed template and against the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from carousel_sync.doctor.finding import DEPLOY_AGAIN, Fault, Result, Status
from carousel_sync.doctor.stage import Stage
from carousel_sync.doctor.template import differences
from lambda_fn.errors import ConfigurationError

LOGICAL_ID: Final = "SyncFunction"
CHANGED_BY_HAND: Final = f"Somebody changed it by hand. {DEPLOY_AGAIN}"
# GetFunctionConfiguration uses the template's names for all of these.
_COMPARED: Final = ("Runtime", "Handler", "MemorySize", "Timeout", "Architectures", "TracingConfig")


def configuration(stage: Stage) -> Result:
    """Check that the version that receives events matches the template, and is the newest version."""
    live, newest = stage.configuration, stage.newest
    if newest.get("State") == "Pending" or newest.get("LastUpdateStatus") == "InProgress":
        return [Fault("the function is being updated", "Check again in a minute.", Status.WARNING)]
    wanted = {name: value for name, value in stage.template.properties(LOGICAL_ID).items() if name in _COMPARED}
    problems = differences(wanted, live) + _concurrency_problems(stage)
    if live.get("State", "Active") not in ("Active", "Inactive"):
        problems.append(f"the function's state is {live['State']}: {live.get('StateReason', 'no reason given')}")
    if newest.get("LastUpdateStatus") == "Failed":
        problems.append(f"its last update failed: {newest.get('LastUpdateStatusReason', 'no reason given')}")
    if not problems and (live["CodeSha256"] != newest["CodeSha256"] or differences(wanted, newest)):
        seen = f"events are delivered to version {live['Version']}, which is not the newest code or configuration"
        remedy = f"This is intended after a roll-back. To end it: {DEPLOY_AGAIN}"
        return [Fault(seen, remedy, Status.WARNING)]
    seen = f"version {live['Version']}: {live.get('Runtime')}, {live['MemorySize']} MB, {live['Timeout']} s"
    return _matches_template(problems, seen)


def environment(stage: Stage) -> Result:
    """Check that the function can read its settings from its environment, and that these are the template's."""
    try:
        settings = stage.settings
    except ConfigurationError as error:
        return [Fault(str(error), f"Every event stays in the queue until then. {DEPLOY_AGAIN}")]
    wanted: Mapping[str, Any] = stage.template.properties(LOGICAL_ID).get("Environment", {}).get("Variables", {})
    found: Mapping[str, str] = stage.configuration.get("Environment", {}).get("Variables", {})
    problems = differences(wanted, found)
    warehouse = settings.catalog.warehouse
    if warehouse.startswith("arn:") and f":{settings.region}:" not in warehouse:
        problems.append(f"the table bucket {warehouse} is not in region {settings.region}")
    return _matches_template(problems, f"all {len(found)} variables are set")


def sale_look_up(stage: Stage) -> Result:
    """Check that the function does not look every sale up in the table. That is for the repair of a lost store."""
    if not stage.settings.look_up_every_sale:
        return ["off: the guard and the projection vouch for the sales"]
    remedy = "Once carousel-sync verify finds the stores consistent: make deploy STAGE={stage} "
    return [
        Fault(
            "on: every sale is looked up in the Iceberg table before it is written",
            f"{remedy}PARAMETERS=LookUpEverySale=false (docs/repair.md).",
            Status.WARNING,
        )
    ]


def _concurrency_problems(stage: Stage) -> list[str]:
    wanted = stage.template.properties(LOGICAL_ID).get("ReservedConcurrentExecutions")
    found = stage.client("lambda").get_function_concurrency(FunctionName=stage.function)
    if wanted is not None:
        return differences({"ReservedConcurrentExecutions": wanted}, found)
    reserved = found.get("ReservedConcurrentExecutions")
    # A reservation of 0 is how the console's "Throttle" button stops a function.
    return [] if reserved is None else [f"its concurrency is limited to {reserved}, the template sets no limit"]


def _matches_template(problems: list[str], seen: str) -> Result:
    return [*(Fault(problem, CHANGED_BY_HAND) for problem in problems), f"{seen}, as the template says"]
