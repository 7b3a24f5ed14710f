"""The template's tables can be created on every engine, and match the data contract."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from testbed.dynamodb.tables import create_tables, table_properties
from testbed.emulator import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(
    params=[pytest.param("dynamodb_local", marks=pytest.mark.engine), "emulator_endpoint"],
    ids=["dynamodb-local", "emulator"],
)
def client(request: pytest.FixtureRequest) -> DynamoDBClient:
    return boto3.client(
        "dynamodb",
        endpoint_url=request.getfixturevalue(request.param),
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


def test_tables_match_the_template(client: DynamoDBClient) -> None:
    suffix = uuid.uuid4().hex
    names = {"GuardTable": f"guard-{suffix}", "ProjectionTable": f"projection-{suffix}"}
    create_tables(client, names["GuardTable"], names["ProjectionTable"])

    for logical_id, name in names.items():
        expected = table_properties(logical_id)
        table = client.describe_table(TableName=name)["Table"]
        assert table["TableStatus"] == "ACTIVE"
        assert table["KeySchema"] == expected["KeySchema"]
        assert table["BillingModeSummary"]["BillingMode"] == expected["BillingMode"]
        assert _by(table["AttributeDefinitions"], "AttributeName") == _by(
            expected["AttributeDefinitions"], "AttributeName"
        )
        assert _indexes(table) == _indexes(expected)
        time_to_live = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert time_to_live == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


def test_keys_match_the_data_contract() -> None:
    assert _keys(table_properties("GuardTable")) == ["pk", "sk"]
    projection = table_properties("ProjectionTable")
    assert _keys(projection) == ["PK", "SK"]
    assert {index["IndexName"]: _keys(index) for index in projection["GlobalSecondaryIndexes"]} == {
        "GSI1": ["GSI1PK", "GSI1SK"],
        "GSI2": ["GSI2PK", "GSI2SK"],
    }


def test_an_unknown_table_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"no AWS::DynamoDB::Table Nothing, only GuardTable, ProjectionTable"):
        table_properties("Nothing")


def _keys(table_or_index: Any) -> list[str]:
    return [key["AttributeName"] for key in sorted(table_or_index["KeySchema"], key=lambda key: str(key["KeyType"]))]


def _by(items: Any, name: str) -> dict[str, Any]:
    return {item[name]: item for item in items}


def _indexes(table: Any) -> dict[str, Any]:
    return {
        index["IndexName"]: (
            index["KeySchema"],
            index["Projection"]["ProjectionType"],
            sorted(index["Projection"].get("NonKeyAttributes", [])),
        )
        for index in table.get("GlobalSecondaryIndexes", [])
    }
