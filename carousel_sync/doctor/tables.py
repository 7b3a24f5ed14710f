"""The two DynamoDB tables: there, active, with their indexes, and forgetting what they should forget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from carousel_sync.doctor.account import DEPLOY_AGAIN
from carousel_sync.doctor.finding import Check, Finding, Status, judged
from carousel_sync.doctor.stage import Stage

TTL_ATTRIBUTE: Final = "ttl"
INDEXES: Final = ("GSI1", "GSI2")
DATA_WARNING: Final = (
    "The table is missing, and with it its data: restore it from a backup under the same name, or deploy the stack "
    "again for an empty one (docs/deployment.md)."
)


def guard(stage: Stage) -> Finding:
    """Whether the table of claims is usable."""
    return judged(f"{stage.guard_table} is active, TTL on", _faults(stage, stage.guard_table))


def projection(stage: Stage) -> Finding:
    """Whether the table of look-ups is usable, by its key and its two indexes."""
    name = stage.projection_table
    indexes = stage.client("dynamodb").describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", [])
    status = {one["IndexName"]: one.get("IndexStatus", "ACTIVE") for one in indexes}

    def faults() -> Iterator[tuple[str, str]]:
        yield from _faults(stage, name)
        for index in INDEXES:
            if status.get(index) != "ACTIVE":
                yield f"index {index} of {name} is {status.get(index, 'missing')}", DEPLOY_AGAIN

    return judged(f"{name} is active, TTL on, indexes {' and '.join(INDEXES)}", faults())


def recovery(stage: Stage) -> Finding:
    """Whether the projection can be set back to a point in time."""
    name = stage.projection_table
    answer = stage.client("dynamodb").describe_continuous_backups(TableName=name)
    status = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    enable = (
        f"Switch it on: aws dynamodb update-continuous-backups --table-name {name} "
        "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
    )
    faults = [] if status == "ENABLED" else [(f"point-in-time recovery of {name} is {status}", enable)]
    return judged(f"point-in-time recovery of {name} is on", faults, Status.WARNING)


def _faults(stage: Stage, name: str) -> Iterator[tuple[str, str]]:
    client = stage.client("dynamodb")
    status = client.describe_table(TableName=name)["Table"]["TableStatus"]
    if status not in ("ACTIVE", "UPDATING"):
        yield f"{name} is {status}", "Wait until it is ACTIVE, and look again."
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
        enable = f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification "
        yield (
            f"TTL of {name} is {ttl['TimeToLiveStatus']}: nothing in it ever expires",
            f"Switch it on: {enable}Enabled=true,AttributeName={TTL_ATTRIBUTE}",
        )
    elif ttl.get("AttributeName", TTL_ATTRIBUTE) != TTL_ATTRIBUTE:
        yield f"TTL of {name} looks at {ttl['AttributeName']!r} instead of {TTL_ATTRIBUTE!r}", DEPLOY_AGAIN


CHECKS: Final = (
    Check("guard table", guard, DATA_WARNING),
    Check("projection table", projection, DATA_WARNING),
    Check("projection recovery", recovery, DATA_WARNING),
)
