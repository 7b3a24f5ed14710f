"""The rights of examples/analysts/analysts.yaml on an emulator that enforces them: enough, and none superfluous.

The emulator's Athena has no Iceberg tables, so that the rights for Athena are not in this test.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import Target
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import EXAMPLE_EVENT, PROJECT_ROOT
from lambda_fn.wiring import build
from tests.forked import run_program
from tests.infrastructure.conftest import batch

POLICY = PROJECT_ROOT / "examples/analysts/analysts.yaml"
STACK, USER = "analysts", "analyst"
SALE = "SALE-1767052800000-8d874118"
QUERY = ("query", "SELECT sale_id FROM sales_history", "--json")
SALES = ("sales", "--tenant", "carousel-labs", "--product", "PROD-LV-12345", "--json")
EVERYTHING = {"query", "sales", "queue"}
LOST_WITHOUT: dict[str, set[str]] = {
    "lambda:GetFunctionConfiguration": {"query", "sales"},
    "cloudformation:DescribeStacks": {"queue"},
    "sqs:GetQueueAttributes": {"queue"},
    "s3tables:GetTableBucket": {"query"},
    "s3tables:GetTableMetadataLocation": {"query"},
    "s3tables:GetTableData": {"query"},
    "dynamodb:Query": {"sales"},
    # The emulator's catalog does not check them (docs/live-checklist.md).
    "s3tables:GetNamespace": set(),
    "s3tables:GetTable": set(),
}
Statement = dict[str, Any]

# With credentials that the catalog did not vend, the emulator (ministack 1.5.33) checks S3's action, where AWS checks
# s3tables:GetTableData (Amazon S3 User Guide, "Access management for S3 Tables").
READ_FILES_IN_THE_EMULATORS_WORDS: Statement = {
    "Effect": "Allow",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::carousel-dev-analytics/*",
}


def actions_of(statement: Statement) -> list[str]:
    given = statement["Action"]
    return given if isinstance(given, list) else [given]


@dataclass(frozen=True)
class Analyst:
    """A user with an access key, and the statements of the policy."""

    target: Target
    environment: dict[str, str]
    statements: list[Statement]

    def allow(self, statements: list[Statement]) -> None:
        if any("s3tables:GetTableData" in actions_of(statement) for statement in statements):
            statements = [*statements, READ_FILES_IN_THE_EMULATORS_WORDS]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.target.client("iam").put_user_policy(UserName=USER, PolicyName="sales", PolicyDocument=document)

    def without(self, action: str) -> list[Statement]:
        changed = copy.deepcopy(self.statements)
        for statement in changed:
            statement["Action"] = [name for name in actions_of(statement) if name != action]
        return [statement for statement in changed if statement["Action"]]

    def can(self) -> set[str]:
        """Return what the user can do: run the commands, and see whether events wait in the queue."""
        done = {command[0]: run_program(command, self.environment) for command in (QUERY, SALES)}
        found = {name for name, result in done.items() if result.returncode == 0}
        assert all(SALE in done[name].stdout for name in found)
        return found | ({"queue"} if self._sees_the_queue() else set())

    def _sees_the_queue(self) -> bool:
        session = boto3.Session(self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"])
        target = Target(stage="dev", region=self.target.region, session=session, endpoint_url=self.target.endpoint_url)
        try:
            return buffer_queue.depth(target, buffer_queue.buffer_queue_url(target)).waiting == 0
        except ClientError:
            return False


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that enforces rights, with the sale of the example."""
    with LocalStack(tmp_path_factory.mktemp("analysts"), enforce_rights=True) as stack:
        stack.up()
        target = stack.target()
        application = build(replace(target.settings, catalog=target.catalog_config))
        assert application.handle(batch(EXAMPLE_EVENT.read_text()), None) == {"batchItemFailures": []}
        yield stack


@pytest.fixture(scope="module")
def analyst(own_stack: LocalStack) -> Analyst:
    """A user of the stage."""
    target = own_stack.target()
    return Analyst(target, environment(_new_user(target), own_stack.directory), _policy(target))


def environment(given: Any, home: Path) -> dict[str, str]:
    """Return the environment of a shell, without the function's variables."""
    return {name: value for name, value in given.items() if name.startswith("AWS_")} | {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _new_user(target: Target) -> dict[str, str]:
    iam = target.client("iam")
    iam.create_user(UserName=USER)
    key = iam.create_access_key(UserName=USER)["AccessKey"]
    return {
        **target.environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def _policy(target: Target) -> list[Statement]:
    """Deploy the template as it is, and return the statements of its policy."""
    cloudformation, iam = target.client("cloudformation"), target.client("iam")
    cloudformation.create_stack(StackName=STACK, TemplateBody=POLICY.read_text(), Capabilities=["CAPABILITY_IAM"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    (created,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    (output,) = created["Outputs"]
    version = iam.get_policy(PolicyArn=output["OutputValue"])["Policy"]["DefaultVersionId"]
    policy = iam.get_policy_version(PolicyArn=output["OutputValue"], VersionId=version)["PolicyVersion"]["Document"]
    statements: list[Statement] = policy["Statement"]
    return statements


def test_the_rights_are_enough(analyst: Analyst) -> None:
    analyst.allow(analyst.statements)
    assert analyst.can() == EVERYTHING


@pytest.mark.parametrize(("action", "lost"), LOST_WITHOUT.items(), ids=LOST_WITHOUT)
def test_each_right_is_needed(action: str, lost: set[str], analyst: Analyst) -> None:
    analyst.allow(analyst.without(action))
    assert analyst.can() == EVERYTHING - lost


def test_every_right_is_in_the_list(analyst: Analyst) -> None:
    assert {action for one in analyst.statements for action in actions_of(one)} == LOST_WITHOUT.keys()
