"""The DynamoDB tables of template.yaml, created on any DynamoDB endpoint without deploying the template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from samtranslator.yaml_helper import yaml_parse

from carousel_sync.project import PROJECT_ROOT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TYPE: Final = "AWS::DynamoDB::Table"
# The caller chooses the name, time to live takes a request of its own, and the others do not affect reads and writes.
# CloudFormation and the CreateTable API use the same names for the remaining properties.
_NOT_PASSED_ON: Final = {
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
    """Create the guard and projection tables under these names, as template.yaml defines them, and wait for them.

    Keys, attributes, indexes and time to live are the template's. Raises DynamoDB's ResourceInUseException when a
    table of that name exists, and botocore's ParamValidationError for a property that CreateTable does not have.
    """
    for logical_id, name in (("GuardTable", guard_name), ("ProjectionTable", projection_name)):
        properties = table_properties(logical_id)
        definition: dict[str, Any] = {key: properties[key] for key in properties.keys() - _NOT_PASSED_ON}
        client.create_table(TableName=name, **definition)
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        if time_to_live := properties.get("TimeToLiveSpecification"):
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)


def table_properties(logical_id: str) -> Mapping[str, Any]:
    """Return the properties of a DynamoDB table in template.yaml, with intrinsic functions unresolved."""
    resources = yaml_parse((PROJECT_ROOT / "template.yaml").read_text())["Resources"]
    tables = {name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == _TYPE}
    if logical_id not in tables:
        raise ValueError(f"template.yaml has no {_TYPE} {logical_id}, only {', '.join(sorted(tables)) or 'none'}.")
    properties: dict[str, Any] = tables[logical_id]
    return properties
