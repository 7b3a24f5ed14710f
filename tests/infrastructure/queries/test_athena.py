"""The optional Athena workgroup: its limit, its results, and the saved queries, which are those of queries/athena."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carousel_sync.analysis.parameters import EXAMPLES
from carousel_sync.analysis.query_file import queries
from carousel_sync.analysis.saved_queries import as_text, logical_id, properties, saved, written_in
from carousel_sync.project import TEMPLATE

RESOURCES = {"AthenaResults", "AthenaResultsPolicy", "AthenaWorkGroup"}
KEY = {"Fn::GetAtt": ["EncryptionKey", "Arn"]}


def test_athena_is_optional(template: dict[str, Any], resources: dict[str, Any]) -> None:
    assert template["Parameters"]["WithAthena"]["Default"] == "false"
    assert template["Conditions"]["HasAthena"] == {"Fn::Equals": [{"Ref": "WithAthena"}, "true"]}
    conditional = {name for name, resource in resources.items() if resource.get("Condition") == "HasAthena"}
    assert conditional == RESOURCES | {logical_id(query) for query in saved()}
    for name in ("AthenaWorkGroup", "AthenaResultsBucket"):
        assert template["Outputs"][name]["Condition"] == "HasAthena"


def test_saved_queries_are_the_files() -> None:
    assert written_in(TEMPLATE.read_text()) == as_text(), "python -m carousel_sync.analysis.saved_queries --write"


def test_every_file_that_only_reads_is_saved(resources: dict[str, Any]) -> None:
    found = {
        resource["Properties"]["Name"]: resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Athena::NamedQuery"
    }
    assert found == {query.name: properties(query) for query in saved()}
    assert queries().keys() - found.keys() == {"optimize", "vacuum"}
    for name, query in found.items():
        assert query["QueryString"] == queries()[name].sql(EXAMPLES)


def test_a_query_scans_no_more_than_the_limit(template: dict[str, Any], resources: dict[str, Any]) -> None:
    configuration = resources["AthenaWorkGroup"]["Properties"]["WorkGroupConfiguration"]
    assert configuration["BytesScannedCutoffPerQuery"] == {"Fn::Sub": "${AthenaScanLimitMB}000000"}
    limit = template["Parameters"]["AthenaScanLimitMB"]
    # Athena accepts 10 MB or more (Athena API Reference, "WorkGroupConfiguration").
    assert limit["MinValue"] == 10
    assert limit["MinValue"] <= limit["Default"] <= limit["MaxValue"]


def test_a_client_can_not_change_where_results_go(resources: dict[str, Any]) -> None:
    configuration = resources["AthenaWorkGroup"]["Properties"]["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["ResultConfiguration"]["OutputLocation"] == {"Fn::Sub": "s3://${AthenaResults}/results/"}


def test_results_are_encrypted_private_and_expire(resources: dict[str, Any]) -> None:
    bucket = resources["AthenaResults"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 7)
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["Fn::If"] == [
        "HasCustomerManagedKey",
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        {"SSEAlgorithm": "AES256"},
    ]
    results = resources["AthenaWorkGroup"]["Properties"]["WorkGroupConfiguration"]["ResultConfiguration"]
    assert results["EncryptionConfiguration"]["Fn::If"] == [
        "HasCustomerManagedKey",
        {"EncryptionOption": "SSE_KMS", "KmsKey": KEY},
        {"EncryptionOption": "SSE_S3"},
    ]
    (statement,) = resources["AthenaResultsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("word", ["athena:", "glue:", "lakeformation:"])
def test_the_function_gets_no_permission_for_athena(resources: dict[str, Any], word: str) -> None:
    assert word not in json.dumps(resources["SyncRole"])
