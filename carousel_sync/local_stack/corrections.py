"""What ministack 1.5.33's CloudFormation leaves out of the template, set through the services' own interfaces.

Each of these is in template.yaml and needs nothing of this on AWS. They are found by describing what was deployed, and
are safe to repeat.
"""

from __future__ import annotations

from typing import Final

from carousel_sync.aws.target import Target, function_name

TTL_ATTRIBUTE: Final = "ttl"
PROJECTION_OUTPUT: Final = "ProjectionTableName"
_TABLE_OUTPUTS: Final = ("GuardTableName", PROJECTION_OUTPUT)


def apply_corrections(target: Target, outputs: dict[str, str]) -> None:
    """Set what the emulator's CloudFormation did not. Raises botocore's errors; what was set until then stays set."""
    _enable_time_to_live(target, outputs)
    _enable_point_in_time_recovery(target, outputs)
    _limit_concurrency(target)


def _enable_time_to_live(target: Target, outputs: dict[str, str]) -> None:
    """Switch TTL on: TimeToLiveSpecification is accepted and ignored."""
    client = target.client("dynamodb")
    for table in (outputs[name] for name in _TABLE_OUTPUTS):
        present = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if present["TimeToLiveStatus"] != "ENABLED":
            client.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"AttributeName": TTL_ATTRIBUTE, "Enabled": True}
            )


def _enable_point_in_time_recovery(target: Target, outputs: dict[str, str]) -> None:
    """Switch it on: PointInTimeRecoverySpecification is accepted and ignored."""
    target.client("dynamodb").update_continuous_backups(
        TableName=outputs[PROJECTION_OUTPUT],
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )


def _limit_concurrency(target: Target) -> None:
    """Turn the limit into a number: there it stays the parameter's text, and the poller stops at comparing it."""
    client = target.client("lambda")
    mappings = client.list_event_source_mappings(FunctionName=function_name(target.stage))["EventSourceMappings"]
    for mapping in mappings:
        limit = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        if limit is not None:
            client.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(limit)})
