"""The rights in examples/analysts: no more than the commands need, and requests that Lake Formation understands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import cfnlint.decode  # type: ignore[import-untyped]
import pytest
from botocore.validate import ParamValidator

from carousel_sync.aws.target import function_name
from carousel_sync.project import PROJECT_ROOT
from schemas.sales_history import NAMESPACE, TABLE

FOLDER = PROJECT_ROOT / "examples/analysts"
PAGE = (PROJECT_ROOT / "docs/analysts.md").read_text()
WHOLE_TABLE, ONE_TENANT = "analysts.yaml", "tenant-analysts.yaml"
REQUESTS = {
    "row-filter.json": "CreateDataCellsFilter",
    "row-filter-grant.json": "GrantPermissions",
    "table-grant.json": "GrantPermissions",
}

CODE = PROJECT_ROOT / "carousel_sync"
ATHENA, TARGET = "analysis/athena.py", "aws/target.py"
# The code that needs an action: a file below carousel_sync, and what it contains.
NEEDED = {
    "lambda:GetFunctionConfiguration": (TARGET, "get_function_configuration("),
    "cloudformation:DescribeStacks": ("aws/cloudformation.py", "describe_stacks("),
    "sqs:GetQueueAttributes": ("aws/buffer_queue.py", "get_queue_attributes("),
    # Amazon S3 User Guide, "Accessing tables using the Amazon S3 Tables Iceberg REST endpoint".
    "s3tables:GetTableBucket": (TARGET, "connect("),
    "s3tables:GetNamespace": (TARGET, ".load_table("),
    "s3tables:GetTable": (TARGET, ".load_table("),
    "s3tables:GetTableMetadataLocation": (TARGET, ".load_table("),
    "s3tables:GetTableData": ("explore/duckdb_table.py", "iceberg_scan"),
    "dynamodb:Query": ("explore/projection_queries.py", 'get_paginator("query")'),
    "athena:StartQueryExecution": (ATHENA, "start_query_execution("),
    "athena:GetQueryExecution": (ATHENA, "get_query_execution("),
    "athena:GetQueryResults": (ATHENA, 'get_paginator("get_query_results")'),
    "athena:StopQueryExecution": (ATHENA, "stop_query_execution("),
}
# What Athena needs the rights of whoever runs a query for: AWS Glue Developer Guide, "Integrating with Amazon S3
# Tables", "Prerequisites"; and the S3 actions on the results in Amazon Athena User Guide, "AWS managed policies for
# Amazon Athena".
BY_ATHENA = {
    "glue:GetCatalog",
    "glue:GetDatabase",
    "glue:GetTable",
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:GetObject",
    "s3:PutObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "lakeformation:GetDataAccess",
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(name: str) -> list[dict[str, Any]]:
    """Return the statements of a template's policy, with those that have a condition."""
    decoded, problems = cfnlint.decode.decode(str(FOLDER / name))
    assert not problems
    resources = json.loads(json.dumps(decoded))["Resources"].values()
    (policy,) = [resource for resource in resources if resource["Type"] == "AWS::IAM::ManagedPolicy"]
    given = policy["Properties"]["PolicyDocument"]["Statement"]
    return [one["Fn::If"][1] if "Fn::If" in one else one for one in given]


def actions(name: str) -> list[str]:
    return [action for statement in statements(name) for action in as_list(statement["Action"])]


def request(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found


def cfn_lint(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "cfn-lint"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", [WHOLE_TABLE, ONE_TENANT])
def test_cfn_lint_reports_nothing(name: str) -> None:
    done = cfn_lint(FOLDER / name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_listed_with_who_needs_it() -> None:
    assert sorted(actions(WHOLE_TABLE)) == sorted(NEEDED.keys() | BY_ATHENA)


@pytest.mark.parametrize("action", NEEDED)
def test_code_that_needs_the_action_exists(action: str) -> None:
    path, fragment = NEEDED[action]
    assert fragment in (CODE / path).read_text()


def test_every_request_to_athena_is_permitted() -> None:
    """The emulator's Athena cannot show it: it has no Iceberg tables."""
    source = (CODE / ATHENA).read_text()
    called = set(re.findall(r"client\.(\w+)\(", source)) - {"get_paginator"}
    called |= set(re.findall(r'get_paginator\("(\w+)"\)', source))
    operations = {f"athena:{''.join(map(str.capitalize, name.split('_')))}" for name in called}
    assert operations == {action for action in NEEDED if action.startswith("athena:")}


@pytest.mark.parametrize("name", [WHOLE_TABLE, ONE_TENANT])
def test_the_rights_are_only_for_reading_and_name_their_resources(name: str) -> None:
    assert {statement["Effect"] for statement in statements(name)} == {"Allow"}
    assert not [action for action in actions(name) if "*" in action]
    anything = [statement["Action"] for statement in statements(name) if statement["Resource"] == "*"]
    assert anything == ["lakeformation:GetDataAccess"]
    writing = {action for action in actions(name) if re.search(r":(Put|Delete|Update|Create|Batch|Send)", action)}
    # Athena puts the results of a query into their bucket.
    assert writing == {"s3:PutObject"}
    (results,) = [one for one in statements(name) if "s3:PutObject" in as_list(one["Action"])]
    assert "${AthenaResultsBucket}/" in json.dumps(results["Resource"])


def test_analysts_of_one_tenant_reach_no_files_and_no_items_of_others() -> None:
    assert not [action for action in actions(ONE_TENANT) if action.startswith("s3tables:")]
    assert set(actions(ONE_TENANT)) < NEEDED.keys() | BY_ATHENA
    (items,) = [one for one in statements(ONE_TENANT) if one["Action"] == "dynamodb:Query"]
    partitions = [
        pattern["Fn::Sub"] for pattern in items["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    ]
    assert partitions == ["TENANT#${Tenant}", "TENANT#${Tenant}#*"]
    for statement in statements(ONE_TENANT):
        if "s3:GetObject" in as_list(statement["Action"]):
            assert statement["Resource"]["Fn::Sub"].endswith("${AthenaResultsBucket}/tenants/${Tenant}/*")


@pytest.mark.parametrize("name", [WHOLE_TABLE, ONE_TENANT])
def test_the_names_are_those_of_the_stage(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert f":function:{function_name('${Stage}')}" in text
    assert f"/{NAMESPACE}/{TABLE}" in text
    template = (PROJECT_ROOT / "template.yaml").read_text()
    for resource in ("carousel-${Stage}-analytics", "bg-remover-${Stage}-sales-intelligence", "carousel-sync-${Stage}"):
        assert resource in text
        assert f"!Sub {resource}\n" in template


@pytest.mark.parametrize(("name", "operation"), REQUESTS.items())
def test_lake_formation_understands_the_request(name: str, operation: str) -> None:
    model = botocore.session.get_session().get_service_model("lakeformation").operation_model(operation)
    assert model.input_shape is not None
    report = ParamValidator().validate(request(name), model.input_shape)
    assert not report.has_errors(), report.generate_report()


def test_the_grant_is_of_the_filter_and_all_requests_are_for_the_table() -> None:
    row_filter = request("row-filter.json")["TableData"]
    granted = request("row-filter-grant.json")["Resource"]["DataCellsFilter"]
    assert granted == {name: row_filter[name] for name in ("TableCatalogId", "DatabaseName", "TableName", "Name")}
    table = request("table-grant.json")["Resource"]["Table"]
    expected = (row_filter["TableCatalogId"], NAMESPACE, TABLE)
    assert (table["CatalogId"], table["DatabaseName"], table["Name"]) == expected
    assert (row_filter["DatabaseName"], row_filter["TableName"]) == (NAMESPACE, TABLE)
    assert row_filter["RowFilter"] == {"FilterExpression": "tenant_id = 'carousel-labs'"}


def test_cloudformation_can_not_name_the_catalog_of_a_table_bucket(tmp_path: Path) -> None:
    """This is why the row filter is a request. When this test fails, it can become a part of the template."""
    properties = request("row-filter.json")["TableData"]
    resource = {"Type": "AWS::LakeFormation::DataCellsFilter", "Properties": properties}
    path = tmp_path / "filter.json"
    path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Filter": resource}}))
    done = cfn_lint(path)
    assert done.returncode != 0
    assert f"E3033 '{properties['TableCatalogId']}' is longer than 12" in done.stdout


def test_the_page_shows_the_filter_and_names_every_file() -> None:
    assert (FOLDER / "row-filter.json").read_text() in PAGE
    for path in FOLDER.iterdir():
        assert f"examples/analysts/{path.name}" in PAGE
