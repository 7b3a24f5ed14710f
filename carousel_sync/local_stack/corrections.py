"""Settings of template.yaml that ministack 1.5.33's CloudFormation ignores, made through the services' own APIs.

AWS needs none of this.
"""

from __future__ import annotations

from carousel_sync.aws.target import Target, function_name


def apply_corrections(target: Target, outputs: dict[str, str]) -> None:
    """Make the settings that the emulator's CloudFormation ignored. Safe to repeat.

    Raises botocore's errors; the settings made before stay.
    """
    dynamodb, functions = target.client("dynamodb"), target.client("lambda")
    # CloudFormation accepts TimeToLiveSpecification and PointInTimeRecoverySpecification, and ignores them.
    for table in (outputs["GuardTableName"], outputs["ProjectionTableName"]):
        current = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if current["TimeToLiveStatus"] != "ENABLED":
            time_to_live = {"AttributeName": "ttl", "Enabled": True}
            dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=time_to_live)
    recovery = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(
        TableName=outputs["ProjectionTableName"], PointInTimeRecoverySpecification=recovery
    )
    # CloudFormation keeps the text of the parameter, which the poller fails to compare with a number.
    mappings = functions.list_event_source_mappings(FunctionName=function_name(target.stage))["EventSourceMappings"]
    for mapping in mappings:
        limit = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        if limit is not None:
            scaling = {"MaximumConcurrency": int(limit)}
            functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=scaling)
