"""The template's optional features: what each parameter changes, and the permissions it adds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from carousel_sync.contract.registry_schema import as_text, schema, written_in
from carousel_sync.doctor.template import Template
from carousel_sync.local_stack.deployment import prepare
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.event import EVENT_SOURCE
from lambda_fn.iceberg.group_commit.group import MAX_MEMBERS
from lambda_fn.sale import EVENT_TYPE
from lambda_fn.settings import GroupCommitMode
from tests.infrastructure.conftest import TEMPLATE

NOTHING = {"Ref": "AWS::NoValue"}
KEY = {"Fn::GetAtt": ["EncryptionKey", "Arn"]}
ALIAS = {"Ref": "SyncFunction.Alias"}


def properties(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def test_events_go_to_a_published_version(resources: dict[str, Any]) -> None:
    # SnapStart works only on published versions, never on $LATEST.
    function = properties(resources, "SyncFunction")
    assert function["AutoPublishAlias"] == "live"
    assert function["AutoPublishAliasAllProperties"] is True
    assert properties(resources, "BufferQueueMapping")["FunctionName"] == ALIAS
    assert properties(resources, "DirectInvocationPermission")["FunctionName"] == ALIAS
    assert properties(resources, "AsynchronousInvocation")["Qualifier"] == "live"
    (target,) = properties(resources, "SaleRule")["Targets"]
    assert target["Arn"]["Fn::If"][2] == ALIAS


def test_function_parameters_and_their_defaults(template: dict[str, Any], resources: dict[str, Any]) -> None:
    function = properties(resources, "SyncFunction")
    assert function["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
    assert function["Tracing"] == {"Ref": "Tracing"}
    parameters = template["Parameters"]
    assert {name: parameters[name]["Default"] for name in ("SnapStart", "Tracing")} == {
        "SnapStart": "None",
        "Tracing": "PassThrough",
    }


def reserved(template: dict[str, Any], mode: str, concurrency: str) -> Any:
    """Return the concurrency that the template reserves for the function, or None."""
    parameters = {"DeliveryMode": mode, "ReservedConcurrency": concurrency}
    return Template(template, parameters, {}).properties("SyncFunction").get("ReservedConcurrentExecutions")


def test_direct_delivery_reserves_as_many_invocations_as_can_share_a_commit(template: dict[str, Any]) -> None:
    assert template["Parameters"]["ReservedConcurrency"]["Default"] == "auto"
    assert reserved(template, "direct", "auto") == MAX_MEMBERS
    assert reserved(template, "queue", "auto") is None


@pytest.mark.parametrize("mode", ["queue", "direct"])
def test_a_given_concurrency_holds_in_both_modes(template: dict[str, Any], mode: str) -> None:
    assert reserved(template, mode, "7") == "7"
    assert reserved(template, mode, "0") is None


@pytest.mark.parametrize(("text", "allowed"), [("auto", True), ("0", True), ("1000", True), ("00", False), ("", False)])
def test_the_forms_of_the_concurrency(template: dict[str, Any], text: str, allowed: bool) -> None:
    pattern = template["Parameters"]["ReservedConcurrency"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, text)) == allowed


def test_group_commit_has_the_modes_of_the_function(template: dict[str, Any], resources: dict[str, Any]) -> None:
    parameter = template["Parameters"]["GroupCommit"]
    assert parameter["AllowedValues"] == [mode.value for mode in GroupCommitMode]
    assert parameter["Default"] == GroupCommitMode.ADAPTIVE
    environment = properties(resources, "SyncFunction")["Environment"]["Variables"]
    assert environment["GROUP_COMMIT"] == {"Ref": "GroupCommit"}


def test_key_encrypts_every_store_and_the_log(resources: dict[str, Any]) -> None:
    bucket = properties(resources, "TableBucket")["EncryptionConfiguration"]["Fn::If"]
    assert bucket == [
        "HasCustomerManagedKey",
        {"SSEAlgorithm": "aws:kms", "KMSKeyArn": KEY},
        {"SSEAlgorithm": "AES256"},
    ]
    for table in ("GuardTable", "ProjectionTable"):
        with_key = properties(resources, table)["SSESpecification"]["Fn::If"][1]
        assert with_key == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}
    for queue in ("BufferQueue", "DeadLetterQueue"):
        assert properties(resources, queue)["KmsMasterKeyId"] == {"Fn::If": ["HasCustomerManagedKey", KEY, NOTHING]}
    assert properties(resources, "LogGroup")["KmsKeyId"] == {"Fn::If": ["HasCustomerManagedKey", KEY, NOTHING]}
    assert resources["EncryptionKey"]["Condition"] == "HasCustomerManagedKey"


def test_services_may_use_the_key_only_for_this_stage(resources: dict[str, Any]) -> None:
    statements = properties(resources, "EncryptionKey")["KeyPolicy"]["Statement"]
    services = {
        json.dumps(statement["Principal"]["Service"]): statement
        for statement in statements
        if "Service" in statement["Principal"]
    }
    assert services.keys() == {
        '"events.amazonaws.com"',
        '"maintenance.s3tables.amazonaws.com"',
        '{"Fn::Sub": "logs.${AWS::Region}.amazonaws.com"}',
    }
    for statement in services.values():
        assert "${Stage}" in json.dumps(statement["Condition"])
        assert not [action for action in statement["Action"] if "*" in action]
    for name in ("events.amazonaws.com", "maintenance.s3tables.amazonaws.com"):
        assert set(services[f'"{name}"']["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}
    # The principal "*" must come through DynamoDB and from this account.
    (anybody,) = (statement for statement in statements if statement["Principal"] == {"AWS": "*"})
    assert anybody["Condition"]["StringEquals"].keys() == {"kms:CallerAccount", "kms:ViaService"}


def test_production_is_protected_from_deletion(template: dict[str, Any], resources: dict[str, Any]) -> None:
    assert template["Conditions"]["Production"] == {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}
    for table in ("GuardTable", "ProjectionTable"):
        assert properties(resources, table)["DeletionProtectionEnabled"] == {"Fn::If": ["Production", True, False]}


def test_archive_keeps_the_events_that_the_rule_matches(resources: dict[str, Any]) -> None:
    archive = resources["SaleArchive"]
    assert archive["Condition"] == "HasArchive"
    assert archive["Properties"]["EventPattern"] == properties(resources, "SaleRule")["EventPattern"]
    assert archive["Properties"]["RetentionDays"] == {"Ref": "ArchiveDays"}


def test_resources_that_support_tags_are_tagged(resources: dict[str, Any]) -> None:
    tags: list[dict[str, Any]] = [
        {"Key": "project", "Value": "carousel-sync"},
        {"Key": "stage", "Value": {"Ref": "Stage"}},
    ]
    for name in ("GuardTable", "ProjectionTable", "BufferQueue", "DeadLetterQueue", "LogGroup", "SyncRole"):
        assert properties(resources, name)["Tags"] == tags
    assert properties(resources, "SyncFunction")["Tags"] == {tag["Key"]: tag["Value"] for tag in tags}


def test_published_schema_matches_the_validation_rules() -> None:
    assert written_in(TEMPLATE.read_text()) == as_text(), "python -m carousel_sync.contract.registry_schema --write"


def test_published_schema_describes_the_event_that_the_rule_matches(resources: dict[str, Any]) -> None:
    content = json.loads(properties(resources, "SaleSchema")["Content"])
    assert content == schema()
    assert properties(resources, "SaleSchema")["SchemaName"] == f"{EVENT_SOURCE}@{EVENT_TYPE}"
    detail = content["properties"]["detail"]
    assert set(detail["required"]) == {
        "tenantId",
        "productId",
        "category",
        "brand",
        "listedPrice",
        "salePrice",
        "soldDate",
    }
    assert detail["properties"]["tenantId"]["maxLength"] == 128
    assert detail["properties"]["daysToSell"]["anyOf"][0]["maximum"] == 36_500


def test_embedded_stack_deploys_this_template() -> None:
    assert prepare(PROJECT_ROOT, {}).template == TEMPLATE.read_text()
