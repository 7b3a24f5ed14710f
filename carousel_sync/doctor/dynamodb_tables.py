"""Checks of the two DynamoDB tables: state, indexes, time to live and point-in-time recovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from carousel_sync.doctor.finding import Fault, Result, Status
from carousel_sync.doctor.stage import Stage

TTL_ATTRIBUTE: Final = "ttl"
INDEXES: Final = ("GSI1", "GSI2")
MISSING_TABLE: Final = (
    "The table is missing, and its data with it. Restore it from a backup under the same name, or deploy the stack "
    "again for an empty table (docs/deployment.md)."
)


def guard(stage: Stage) -> Result:
    """Check that the guard table is usable."""
    yield from _faults(stage, stage.guard_table)
    yield f"{stage.guard_table} is active, TTL is on"


def projection(stage: Stage) -> Result:
    """Check that the projection table and its two indexes are usable."""
    name = stage.projection_table
    indexes = stage.client("dynamodb").describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", [])
    status = {index["IndexName"]: index.get("IndexStatus", "ACTIVE") for index in indexes}
    yield from _faults(stage, name)
    for index in INDEXES:
        if status.get(index) != "ACTIVE":
            yield Fault(f"index {index} of {name} is {status.get(index, 'missing')}")
    yield f"{name} is active, TTL is on, with indexes {' and '.join(INDEXES)}"


def recovery(stage: Stage) -> Result:
    """Check that the projection table can be restored to a point in time."""
    name = stage.projection_table
    answer = stage.client("dynamodb").describe_continuous_backups(TableName=name)
    status = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    if status != "ENABLED":
        command = f"aws dynamodb update-continuous-backups --table-name {name}"
        enable = f"Enable it: {command} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        yield Fault(f"point-in-time recovery of {name} is {status}", enable, Status.WARNING)
    yield f"point-in-time recovery of {name} is on"


def _faults(stage: Stage, name: str) -> Iterator[Fault]:
    client = stage.client("dynamodb")
    status = client.describe_table(TableName=name)["Table"]["TableStatus"]
    if status not in ("ACTIVE", "UPDATING"):
        yield Fault(f"{name} is {status}", "Wait until it is ACTIVE, then check again.")
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
        enable = f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification "
        yield Fault(
            f"TTL of {name} is {ttl['TimeToLiveStatus']}: its items never expire",
            f"Enable it: {enable}Enabled=true,AttributeName={TTL_ATTRIBUTE}",
        )
    elif ttl.get("AttributeName", TTL_ATTRIBUTE) != TTL_ATTRIBUTE:
        yield Fault(f"TTL of {name} uses attribute {ttl['AttributeName']!r} instead of {TTL_ATTRIBUTE!r}")
