"""Creates the DynamoDB tables of template.yaml at any DynamoDB endpoint, without deploying the template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from samtranslator.yaml_helper import yaml_parse

from carousel_sync.project import PROJECT_ROOT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TEMPLATE: Final = PROJECT_ROOT / "template.yaml"
_TYPE: Final = "AWS::DynamoDB::Table"
_GUARD: Final = "GuardTable"
_PROJECTION: Final = "ProjectionTable"

# CloudFormation and CreateTable have the same names for these.
_PASSED_ON: Final = {
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
}
# The caller passes the name, time to live is a separate call, and the others do not affect reads and writes.
_HANDLED_OTHERWISE: Final = {
    "TableName",
    "TimeToLiveSpecification",
    "ContributorInsightsSpecification",
    "DeletionProtectionEnabled",
    "PointInTimeRecoverySpecification",
    "SSESpecification",
    "TableClass",
    "Tags",
}


def create_tables(client: DynamoDBClient, guard_name: str, projection_name: str) -> None:
    """Create the guard and the projection table under these names, as template.yaml defines them, and wait for them.

    Keys, attributes, indexes and time to live are the template's. Raises DynamoDB's ResourceInUseException when a
    table of that name exists, and ValueError when the template has a setting that this function does not know of.
    """
    for logical_id, name in ((_GUARD, guard_name), (_PROJECTION, projection_name)):
        properties = table_properties(logical_id)
        definition: dict[str, Any] = {key: properties[key] for key in _PASSED_ON & properties.keys()}
        client.create_table(TableName=name, **definition)
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        time_to_live = properties.get("TimeToLiveSpecification")
        if time_to_live is not None:
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)


def table_properties(logical_id: str) -> Mapping[str, Any]:
    """Return the properties of a DynamoDB table in template.yaml, intrinsic functions unresolved."""
    resources = yaml_parse(_TEMPLATE.read_text())["Resources"]
    resource = resources.get(logical_id)
    if resource is None or resource["Type"] != _TYPE:
        tables = sorted(key for key, value in resources.items() if value["Type"] == _TYPE)
        raise ValueError(f"template.yaml has no {_TYPE} {logical_id}, only {', '.join(tables) or 'none'}.")
    properties: dict[str, Any] = resource["Properties"]
    unknown = properties.keys() - _PASSED_ON - _HANDLED_OTHERWISE
    if unknown:
        raise ValueError(f"{logical_id} has properties that tests do not create yet: {', '.join(sorted(unknown))}.")
    return properties
