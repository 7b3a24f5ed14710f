"""The function's permissions: each allowed action, its resource, and the code that needs it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from carousel_sync.project import PROJECT_ROOT
from lambda_fn.commit_queue.items import queue_partition


class Right(NamedTuple):
    """An action on a resource, as written in the template."""

    action: str
    resource: str


def arn_of(resource: str, attribute: str = "Arn") -> str:
    return json.dumps({"Fn::GetAtt": [resource, attribute]})


GUARD, PROJECTION = arn_of("GuardTable"), arn_of("ProjectionTable")
BUCKET, TABLE = (
    arn_of("TableBucket", "TableBucketARN"),
    json.dumps({"Fn::Sub": "${TableBucket.TableBucketARN}/table/*"}),
)
BUFFER, LETTERS, LOG, KEY = (
    arn_of("BufferQueue"),
    arn_of("DeadLetterQueue"),
    arn_of("LogGroup"),
    arn_of("EncryptionKey"),
)
EVERYTHING = json.dumps("*")

GUARD_CODE, QUEUE_CODE = "lambda_fn/guard/guard_table.py", "lambda_fn/commit_queue/queue_table.py"
STORE, FILES = "lambda_fn/iceberg/pyiceberg_store.py", "lambda_fn/aws/s3_file_io.py"
# The Lambda service itself uses the function's role to poll the queue and to write the log (Lambda Developer Guide,
# "Using Lambda with Amazon SQS", "Sending Lambda function logs to CloudWatch Logs").
TEMPLATE = "template.yaml"
NEEDED = {
    # A PartiQL statement needs its own action, even in a batch (DynamoDB Developer Guide, "IAM policies with PartiQL").
    Right("dynamodb:PartiQLInsert", GUARD): (GUARD_CODE, "INSERT INTO"),
    Right("dynamodb:PartiQLUpdate", GUARD): (GUARD_CODE, "UPDATE "),
    Right("dynamodb:BatchGetItem", GUARD): (GUARD_CODE, "self._batches.get("),
    # BatchWriteItem needs no other action to put or to delete (Service Authorization Reference, "Amazon DynamoDB").
    Right("dynamodb:BatchWriteItem", GUARD): (GUARD_CODE, "self._batches.put("),
    Right("dynamodb:Query", GUARD): (QUEUE_CODE, "self._batches.query("),
    Right("dynamodb:BatchGetItem", PROJECTION): ("lambda_fn/projection/projection_table.py", "self._batches.get("),
    Right("dynamodb:BatchWriteItem", PROJECTION): ("lambda_fn/projection/projection_table.py", "self._batches.put("),
    # Amazon S3 User Guide, "Accessing tables using the Amazon S3 Tables Iceberg REST endpoint", lists the action
    # that each catalog operation needs.
    Right("s3tables:GetTableBucket", BUCKET): ("catalog_config/connect.py", "AdaptedRestCatalog("),
    Right("s3tables:GetNamespace", BUCKET): (STORE, ".load_table("),
    Right("s3tables:GetTable", TABLE): (STORE, ".load_table("),
    Right("s3tables:GetTableMetadataLocation", TABLE): (STORE, ".load_table("),
    Right("s3tables:UpdateTableMetadataLocation", TABLE): (STORE, ".commit_table("),
    Right("s3tables:GetTableData", TABLE): (FILES, ".get_object("),
    Right("s3tables:PutTableData", TABLE): (FILES, ".put_object("),
    Right("sqs:ReceiveMessage", BUFFER): (TEMPLATE, "AWS::Lambda::EventSourceMapping"),
    Right("sqs:DeleteMessage", BUFFER): (TEMPLATE, "AWS::Lambda::EventSourceMapping"),
    Right("sqs:GetQueueAttributes", BUFFER): (TEMPLATE, "AWS::Lambda::EventSourceMapping"),
    Right("sqs:ChangeMessageVisibility", BUFFER): ("lambda_fn/redelivery.py", "change_message_visibility_batch("),
    Right("sqs:SendMessage", LETTERS): ("lambda_fn/dead_letters/dead_letter_queue.py", "send_message_batch("),
    Right("logs:CreateLogStream", LOG): (TEMPLATE, "LoggingConfig:"),
    Right("logs:PutLogEvents", LOG): (TEMPLATE, "LoggingConfig:"),
    Right("kms:Decrypt", KEY): (TEMPLATE, "KmsMasterKeyId:"),
    Right("kms:GenerateDataKey", KEY): (TEMPLATE, "KmsMasterKeyId:"),
    Right("xray:PutTraceSegments", EVERYTHING): (TEMPLATE, "Tracing: !Ref Tracing"),
    Right("xray:PutTelemetryRecords", EVERYTHING): (TEMPLATE, "Tracing: !Ref Tracing"),
}
# The methods that the code calls on SDK clients, and the actions they need (Service Authorization Reference).
CALLS = {
    "batch_get_item": {"dynamodb:BatchGetItem"},
    "batch_write_item": {"dynamodb:BatchWriteItem"},
    "query": {"dynamodb:Query"},
    "batch_execute_statement": {"dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"},
    "send_message_batch": {"sqs:SendMessage"},
    "change_message_visibility_batch": {"sqs:ChangeMessageVisibility"},
    # Amazon S3 User Guide, "Access management for S3 Tables": the actions of a table bucket that S3's operations need.
    "get_object": {"s3tables:GetTableData"},
    "head_object": {"s3tables:GetTableData"},
    "put_object": {"s3tables:PutTableData"},
}


def statements(resources: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield each statement of the role, with the condition that includes it."""
    for policy in resources["SyncRole"]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if "Fn::If" in statement:
                condition, included, otherwise = statement["Fn::If"]
                assert otherwise == {"Ref": "AWS::NoValue"}
                yield condition, included
            else:
                yield None, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def rights(resources: dict[str, Any]) -> list[Right]:
    return [
        Right(action, json.dumps(resource))
        for _, statement in statements(resources)
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    ]


def test_every_permission_is_listed_with_the_code_that_needs_it(resources: dict[str, Any]) -> None:
    assert sorted(rights(resources)) == sorted(NEEDED)


@pytest.mark.parametrize("right", NEEDED, ids=lambda right: right.action)
def test_code_that_needs_the_permission_exists(right: Right) -> None:
    path, fragment = NEEDED[right]
    assert fragment in (PROJECT_ROOT / path).read_text()


def test_every_client_call_is_permitted(resources: dict[str, Any]) -> None:
    sources = [path.read_text() for path in (PROJECT_ROOT / "lambda_fn").rglob("*.py")]
    called = {name for source in sources for name in re.findall(r"_client\.(\w+)\(", source)}
    assert called == CALLS.keys()
    allowed = {right.action for right in rights(resources)}
    assert set().union(*CALLS.values()) <= allowed


def test_no_wildcard_actions_and_no_other_policies(resources: dict[str, Any]) -> None:
    role = resources["SyncRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    assert "Policies" not in resources["SyncFunction"]["Properties"]
    assert not [right for right in rights(resources) if "*" in right.action]
    assert {statement["Effect"] for _, statement in statements(resources)} == {"Allow"}
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_only_two_resources_contain_wildcards(resources: dict[str, Any]) -> None:
    for condition, statement in statements(resources):
        for resource in as_list(statement["Resource"]):
            if "*" not in json.dumps(resource):
                continue
            if resource == "*":
                # X-Ray actions do not support resource ARNs.
                assert condition == "HasTracing"
                continue
            # A table's ARN ends in an id that S3 Tables assigns later. The conditions restrict its names.
            assert json.dumps(resource) == TABLE
            assert statement["Condition"] == {
                "StringEqualsIfExists": {
                    "s3tables:namespace": "pricing_intelligence",
                    "s3tables:tableName": "sales_history",
                }
            }


def test_only_the_commit_queue_of_the_table_can_be_queried(resources: dict[str, Any]) -> None:
    (statement,) = [one for _, one in statements(resources) if "dynamodb:Query" in as_list(one["Action"])]
    settings = resources["SyncFunction"]["Properties"]["Environment"]["Variables"]
    partition = queue_partition((settings["ICEBERG_NAMESPACE"], settings["ICEBERG_TABLE"]))
    assert as_list(statement["Action"]) == ["dynamodb:Query"]
    assert statement["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [partition]}}


def test_optional_permissions_have_conditions(resources: dict[str, Any]) -> None:
    optional = {statement["Sid"]: condition for condition, statement in statements(resources) if condition}
    assert optional == {"UseTheKey": "HasCustomerManagedKey", "SendTraces": "HasTracing"}


def test_each_function_has_its_own_role(resources: dict[str, Any]) -> None:
    roles = [
        json.dumps(resource["Properties"]["Role"])
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    assert len(set(roles)) == len(roles)
    assert roles == [arn_of("SyncRole")]
