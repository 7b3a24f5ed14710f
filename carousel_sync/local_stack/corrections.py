"""Settings of template.yaml that ministack 1.5.33's CloudFormation ignores, made through the services' own APIs.

AWS needs none of this. Every correction is safe to repeat.
"""

from __future__ import annotations

from typing import Final

from carousel_sync.aws.target import Target, function_name

TTL_ATTRIBUTE: Final = "ttl"
PROJECTION_OUTPUT: Final = "ProjectionTableName"
_TABLE_OUTPUTS: Final = ("GuardTableName", PROJECTION_OUTPUT)


def apply_corrections(target: Target, outputs: dict[str, str]) -> None:
    """Make the settings that the emulator's CloudFormation ignored.

    Raises botocore's errors; the settings made before stay.
    """
    _enable_time_to_live(target, outputs)
    _enable_point_in_time_recovery(target, outputs)
    _limit_concurrency(target)


def _enable_time_to_live(target: Target, outputs: dict[str, str]) -> None:
    """Enable TTL: CloudFormation accepts TimeToLiveSpecification and ignores it."""
    client = target.client("dynamodb")
    for table in (outputs[name] for name in _TABLE_OUTPUTS):
        current = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if current["TimeToLiveStatus"] != "ENABLED":
            client.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"AttributeName": TTL_ATTRIBUTE, "Enabled": True}
            )


def _enable_point_in_time_recovery(target: Target, outputs: dict[str, str]) -> None:
    """Enable point-in-time recovery: CloudFormation accepts PointInTimeRecoverySpecification and ignores it."""
    target.client("dynamodb").update_continuous_backups(
        TableName=outputs[PROJECTION_OUTPUT],
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )


def _limit_concurrency(target: Target) -> None:
    """Convert the limit to a number: CloudFormation keeps the parameter's text, which the poller fails to compare."""
    client = target.client("lambda")
    mappings = client.list_event_source_mappings(FunctionName=function_name(target.stage))["EventSourceMappings"]
    for mapping in mappings:
        limit = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        if limit is not None:
            client.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(limit)})
