"""template.yaml passes cfn-lint, and keeps the promises of the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boto3.session import Session

from tests.infrastructure.conftest import TEMPLATE

STORES = {"TableBucket", "Namespace", "GuardTable", "ProjectionTable", "BufferQueue", "DeadLetterQueue"}
# Optional: the key, without which the stores cannot be read, and the archive of events.
OPTIONAL = {"EncryptionKey", "SaleArchive"}

# Written out: a reference to the rule would make CloudFormation create the rule before the permission.
RULE_ARN = {
    "Fn::Sub": [
        "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/${Bus}carousel-sync-${Stage}",
        {"Bus": {"Fn::If": ["DefaultEventBus", "", {"Fn::Sub": "${EventBusName}/"}]}},
    ]
}
PERMISSIONS_OF_THE_RULE = {
    "BufferQueuePolicy",
    "DeadLetterQueuePolicy",
    "DirectInvocationPermission",
    "AsynchronousInvocation",
}


def properties(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def test_cfn_lint_reports_nothing() -> None:
    command = [str(Path(sys.executable).parent / "cfn-lint"), str(TEMPLATE)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_data_outlives_the_stack(resources: dict[str, Any]) -> None:
    retained = {
        name
        for name, resource in resources.items()
        if resource.get("DeletionPolicy") == "Retain" and resource.get("UpdateReplacePolicy") == "Retain"
    }
    assert retained == STORES | OPTIONAL


def test_the_iceberg_table_is_not_in_the_template(resources: dict[str, Any]) -> None:
    assert "AWS::S3Tables::Table" not in {resource["Type"] for resource in resources.values()}


def test_resource_names_match_the_contract(resources: dict[str, Any]) -> None:
    names = {
        ("TableBucket", "TableBucketName"): "carousel-${Stage}-analytics",
        ("GuardTable", "TableName"): "pricing-idempotency-${Stage}",
        ("ProjectionTable", "TableName"): "bg-remover-${Stage}-sales-intelligence",
        ("BufferQueue", "QueueName"): "carousel-sync-${Stage}",
        ("DeadLetterQueue", "QueueName"): "carousel-sync-dlq-${Stage}",
        ("SyncFunction", "FunctionName"): "bg-remover-${Stage}-carouselToS3TablesSync",
    }
    for (resource, name), expected in names.items():
        assert properties(resources, resource)[name] == {"Fn::Sub": expected}


def test_function_size_matches_the_contract(template: dict[str, Any], resources: dict[str, Any]) -> None:
    function = properties(resources, "SyncFunction")
    assert template["Parameters"]["MemorySize"]["Default"] == 512
    assert function["Timeout"] == 60
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert function["Handler"] == "lambda_fn.handler.handler"


def test_environment_matches_the_contract(resources: dict[str, Any]) -> None:
    # AWS_ENDPOINT_URL is an override of the SDKs. The template must not set it.
    assert set(properties(resources, "SyncFunction")["Environment"]["Variables"]) == {
        "STAGE",
        "CATALOG",
        "TABLE_BUCKET_ARN",
        "ICEBERG_NAMESPACE",
        "ICEBERG_TABLE",
        "GUARD_TABLE",
        "PROJECTION_TABLE",
        "DEAD_LETTER_QUEUE_URL",
        "POWERTOOLS_TRACE_DISABLED",
        "GROUP_COMMIT",
        "LOOK_UP_EVERY_SALE",
        "MAX_RECEIVE_COUNT",
    }


def test_dead_letters_are_kept_for_fourteen_days_and_encrypted(resources: dict[str, Any]) -> None:
    queue = properties(resources, "DeadLetterQueue")
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["HasCustomerManagedKey", {"Ref": "AWS::NoValue"}, True]}


def test_visibility_timeout_covers_the_function_and_its_batch_window(
    template: dict[str, Any], resources: dict[str, Any]
) -> None:
    queue = properties(resources, "BufferQueue")
    window = template["Parameters"]["BatchWindowSeconds"]["MaxValue"]
    assert queue["VisibilityTimeout"] >= 6 * properties(resources, "SyncFunction")["Timeout"] + window
    assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["HasCustomerManagedKey", {"Ref": "AWS::NoValue"}, True]}
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


def test_an_outage_of_hours_does_not_exhaust_the_receive_count(resources: dict[str, Any]) -> None:
    queue = properties(resources, "BufferQueue")
    outage_seconds = queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
    assert 4 * 3600 <= outage_seconds < queue["MessageRetentionPeriod"]


def test_both_tables_bill_per_request_and_expire_items(resources: dict[str, Any]) -> None:
    for name in ("GuardTable", "ProjectionTable"):
        table = properties(resources, name)
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    projection = properties(resources, "ProjectionTable")
    assert projection["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_key_schemas_match_the_contract(resources: dict[str, Any]) -> None:
    def keys(schema: list[dict[str, str]]) -> list[str]:
        return [key["AttributeName"] for key in schema]

    assert keys(properties(resources, "GuardTable")["KeySchema"]) == ["pk", "sk"]
    projection = properties(resources, "ProjectionTable")
    assert keys(projection["KeySchema"]) == ["PK", "SK"]
    indexes = {index["IndexName"]: keys(index["KeySchema"]) for index in projection["GlobalSecondaryIndexes"]}
    assert indexes == {"GSI1": ["GSI1PK", "GSI1SK"], "GSI2": ["GSI2PK", "GSI2SK"]}


def test_tenant_index_omits_the_embedding_and_respects_the_attribute_limit(resources: dict[str, Any]) -> None:
    indexes = {
        index["IndexName"]: index for index in properties(resources, "ProjectionTable")["GlobalSecondaryIndexes"]
    }
    names = indexes["GSI1"]["Projection"]["NonKeyAttributes"]
    limit = Session().client("dynamodb", region_name="eu-west-1").meta.service_model
    assert len(names) <= limit.shape_for("NonKeyAttributeNameList").metadata["max"]
    assert "embedding" not in names
    assert indexes["GSI2"]["Projection"] == {"ProjectionType": "ALL"}


def test_rule_matches_only_sales(resources: dict[str, Any]) -> None:
    assert properties(resources, "SaleRule")["EventPattern"] == {
        "source": ["carousel.products"],
        "detail-type": ["carousel.product.sold"],
    }


def test_delivery_mode_redirects_the_only_target(template: dict[str, Any], resources: dict[str, Any]) -> None:
    assert template["Parameters"]["DeliveryMode"]["Default"] == "queue"
    assert template["Conditions"]["QueueMode"] == {"Fn::Equals": [{"Ref": "DeliveryMode"}, "queue"]}
    (target,) = properties(resources, "SaleRule")["Targets"]
    assert target["Arn"] == {
        "Fn::If": ["QueueMode", {"Fn::GetAtt": ["BufferQueue", "Arn"]}, {"Ref": "SyncFunction.Alias"}]
    }


def test_direct_mode_has_both_failure_destinations(resources: dict[str, Any]) -> None:
    (target,) = properties(resources, "SaleRule")["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}}
    assert set(target["RetryPolicy"]) == {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
    invocation = resources["AsynchronousInvocation"]
    assert invocation["Properties"]["DestinationConfig"]["OnFailure"] == {
        "Destination": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    }


def test_queue_mapping_reports_partial_failures(resources: dict[str, Any]) -> None:
    mapping = resources["BufferQueueMapping"]
    # The mapping is unconditional, so that a change of the mode strands no message.
    assert "Condition" not in mapping
    assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["Properties"]["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}


def test_only_the_rule_may_send_to_the_queues(resources: dict[str, Any]) -> None:
    for policy in ("BufferQueuePolicy", "DeadLetterQueuePolicy"):
        (statement,) = properties(resources, policy)["PolicyDocument"]["Statement"]
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": RULE_ARN}}
        assert statement["Action"] == "sqs:SendMessage"


def test_every_parameter_and_output_is_described(template: dict[str, Any]) -> None:
    described = {**template["Parameters"], **template["Outputs"]}
    assert [name for name, entry in described.items() if not entry.get("Description")] == []


def test_the_permissions_of_both_modes_exist_before_the_rule_sends_an_event(resources: dict[str, Any]) -> None:
    assert prerequisites(resources, "SaleRule") >= PERMISSIONS_OF_THE_RULE
    for name in PERMISSIONS_OF_THE_RULE:
        assert "Condition" not in resources[name], name
        assert "SaleRule" not in prerequisites(resources, name), name
    assert properties(resources, "DirectInvocationPermission")["SourceArn"] == RULE_ARN


def prerequisites(resources: dict[str, Any], name: str) -> set[str]:
    """Return the resources that CloudFormation creates before this one: its dependencies, and theirs."""
    found: set[str] = set()
    pending = [name]
    while pending:
        resource = resources[pending.pop()]
        explicit = resource.get("DependsOn", [])
        names = {explicit} if isinstance(explicit, str) else set(explicit)
        names |= {reference.partition(".")[0] for reference in references(resource)}
        new = {one for one in names if one in resources} - found
        found |= new
        pending.extend(new)
    return found


def references(value: Any) -> Iterator[str]:
    """Yield what a part of the template refers to with Ref, GetAtt and Sub."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("Ref", "Fn::GetAtt"):
                yield inner if isinstance(inner, str) else inner[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([^}]+)\}", inner if isinstance(inner, str) else inner[0])
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
