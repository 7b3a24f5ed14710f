"""The function's rights on an emulator that enforces them: they are sufficient, and each of them is needed.

The emulator (ministack 1.5.33, AUTH=true) names some actions after the request instead of as AWS documents them; the
tests translate the role's policy. Rights that it does not enforce are listed here, verified by the same tests, and
belong in docs/live-checklist.md.
"""

from __future__ import annotations

import copy
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from carousel_sync.aws.target import Target, function_name
from carousel_sync.local_stack.stack import LocalStack
from lambda_fn.aws.batch_requests import Batches
from lambda_fn.aws.clients import dynamodb_client
from lambda_fn.commit_queue.queue_table import DynamoDBCommitQueue
from lambda_fn.errors import StoreUnavailable
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.iceberg.group_commit.commit_queue import QueueEntry, Round
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.settings import GroupCommitMode, Settings
from lambda_fn.wiring import build
from tests.builders import event
from tests.fakes.parallel import InTurn
from tests.fakes.sdk_session import new_sdk_session
from tests.waiting import eventually

POLICY = "sales-sync"
# In the emulator, a PartiQL batch has one action for all statements, and no resource.
EMULATORS_WORDS = {
    "dynamodb:PartiQLInsert": "dynamodb:BatchExecuteStatement",
    "dynamodb:PartiQLUpdate": "dynamodb:BatchExecuteStatement",
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
}
WITHOUT_RESOURCE = {"dynamodb:BatchExecuteStatement"}
ENFORCED = [
    ("ClaimSales", "dynamodb:BatchExecuteStatement"),
    ("ClaimSales", "dynamodb:BatchGetItem"),
    ("ClaimSales", "dynamodb:BatchWriteItem"),
    ("ReadTheCommitQueue", "dynamodb:Query"),
    ("ProjectSales", "dynamodb:BatchGetItem"),
    ("ProjectSales", "dynamodb:BatchWriteItem"),
    ("FindTheIcebergTable", "s3tables:GetTableBucket"),
    ("AppendToTheIcebergTable", "s3tables:GetTableMetadataLocation"),
    ("AppendToTheIcebergTable", "s3tables:UpdateTableMetadataLocation"),
    ("AppendToTheIcebergTable", "s3tables:GetTableData"),
    ("AppendToTheIcebergTable", "s3tables:PutTableData"),
    ("TakeBatches", "sqs:ChangeMessageVisibilityBatch"),
    ("KeepDeadLetters", "sqs:SendMessageBatch"),
]
# The emulator's catalog does not check them, or the emulator's Lambda service acts without checking them.
NOT_ENFORCED = [
    ("FindTheIcebergTable", "s3tables:GetNamespace"),
    ("AppendToTheIcebergTable", "s3tables:GetTable"),
    ("TakeBatches", "sqs:ReceiveMessage"),
    ("TakeBatches", "sqs:DeleteMessage"),
    ("TakeBatches", "sqs:GetQueueAttributes"),
    ("WriteLogs", "logs:CreateLogStream"),
    ("WriteLogs", "logs:PutLogEvents"),
]
Statement = dict[str, Any]


@dataclass
class Context:
    """The context of an invocation with little time, so that refused requests are not retried for long."""

    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 12_000


@dataclass(frozen=True)
class Enforced:
    """A deployed stack that enforces rights, and the role's policy with the emulator's action names."""

    target: Target
    role: str
    statements: list[Statement]

    def allow(self, statements: list[Statement]) -> None:
        document = {"Version": "2012-10-17", "Statement": statements}
        self.target.client("iam").put_role_policy(
            RoleName=self.role, PolicyName=POLICY, PolicyDocument=json.dumps(document)
        )

    def without(self, sid: str, action: str) -> list[Statement]:
        changed = copy.deepcopy(self.statements)
        for statement in changed:
            if statement["Sid"].startswith(sid):
                statement["Action"] = [name for name in statement["Action"] if name != action]
        assert changed != self.statements
        return [statement for statement in changed if statement["Action"]]


def in_the_emulators_words(statement: Statement) -> list[Statement]:
    actions: list[str] = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    named = sorted({EMULATORS_WORDS.get(action, action) for action in actions})
    somewhere = [action for action in named if action in WITHOUT_RESOURCE]
    there = {**statement, "Action": [action for action in named if action not in WITHOUT_RESOURCE]}
    anywhere = {"Sid": f"{statement['Sid']}Anywhere", "Effect": "Allow", "Action": somewhere, "Resource": "*"}
    return [there, anywhere] if somewhere else [there]


@pytest.fixture(scope="module")
def enforced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enforced]:
    with LocalStack(tmp_path_factory.mktemp("enforced"), enforce_rights=True) as stack:
        stack.up()
        target = stack.target()
        arn = target.client("lambda").get_function_configuration(FunctionName=function_name(target.stage))["Role"]
        role = arn.rpartition("/")[2]
        policy = target.client("iam").get_role_policy(RoleName=role, PolicyName=POLICY)["PolicyDocument"]
        statements = [one for statement in policy["Statement"] for one in in_the_emulators_words(statement)]
        yield Enforced(target, role, statements)


@pytest.fixture
def as_the_role(enforced: Enforced, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The function's settings. New clients act with the function's role."""
    arn = f"arn:aws:iam::000000000000:role/{enforced.role}"
    session = enforced.target.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    settings = enforced.target.settings
    catalog = replace(settings.catalog, connect_timeout_seconds=0.5, read_timeout_seconds=1.0)
    with monkeypatch.context() as changed, new_sdk_session():
        changed.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
        changed.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
        changed.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
        yield replace(settings, catalog=catalog, connect_timeout_seconds=0.5, read_timeout_seconds=1.5)


def all_goes_well(target: Target, settings: Settings) -> bool:
    """Process a new, a repeated and an invalid sale with two new applications, then give a message back."""
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    bodies = [event(tenantId=tenant), event(tenantId=tenant), event(tenantId=tenant, salePrice=-1)]
    records = [
        {"messageId": f"message-{number}", "body": json.dumps(body), "eventSource": "aws:sqs", "attributes": {}}
        for number, body in enumerate(bodies)
    ]
    processed = all(
        build(settings).handle({"Records": records}, Context()) == {"batchItemFailures": []} for _ in range(2)
    )
    return processed and lands_a_member(settings) and gives_back(target, settings)


def lands_a_member(settings: Settings) -> bool:
    """Enlist an attempt, then lead: read the queue, free the lease, and remove the entry of the attempt.

    The queue by itself, because an attempt that may not use it commits alone.
    """
    clock = SystemClock()
    retry, threads = Retry(clock, random.Random(1)), InTurn()
    batches = Batches(dynamodb_client(settings, 1), guard_table(settings.guard_table), retry, threads)
    queue = DynamoDBCommitQueue(batches, settings.table_identifier, clock, threads)
    deadline = Deadline.after(clock, 10)
    member = uuid.uuid4().int % 2**63
    try:
        queue.enlist(QueueEntry(member, NO_SNAPSHOT, frozenset(), "{}", clock.now()), deadline)
        lease = queue.take(queue.lease(deadline), attempt_id=1, seconds=0.0, deadline=deadline)
        assert lease is not None
        assert member in {entry.attempt_id for entry in queue.entries(deadline)}
        queue.finish(lease, Round({member: 1}, [member], 0.1), deadline)
        return member not in {entry.attempt_id for entry in queue.entries(deadline)}
    except StoreUnavailable:
        return False


def gives_back(target: Target, settings: Settings) -> bool:
    """Schedule the redelivery of a message in the buffer queue. The receipt handle does not have to exist."""
    buffer = f"carousel-sync-{target.stage}"
    queue = target.client("sqs").get_queue_url(QueueName=buffer)["QueueUrl"]
    record = {
        "messageId": "message",
        "receiptHandle": "gone",
        "eventSourceARN": f"arn:aws:sqs:{target.region}:{queue.split('/')[-2]}:{buffer}",
    }
    application = build(settings)
    noting: Any = Noting(application.redelivery._client)
    application.redelivery._client = noting
    application.redelivery.schedule([record], ["message"], Deadline.after(application.clock, 30))
    return bool(noting.answered == [True])


class Noting:
    """A client of SQS that records which requests were not refused, which the function ignores."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta
        self.answered: list[bool] = []

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        self.answered.append(False)
        answer: dict[str, Any] = self._client.change_message_visibility_batch(**request)
        self.answered[-1] = True
        return answer


def test_a_deployed_function_works_with_the_templates_rights(enforced: Enforced) -> None:
    enforced.allow(enforced.statements)
    target, tenant = enforced.target, f"tenant-{uuid.uuid4().hex[:12]}"
    given = event(tenantId=tenant)
    entry = {"Source": given["source"], "DetailType": given["detail-type"], "Detail": json.dumps(given["detail"])}
    assert target.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    key = {"pk": {"S": f"IDEMPOTENCY#{tenant}#carousel.product.sold#sale-1"}, "sk": {"S": "VERSION"}}

    def completed() -> bool:
        item = target.client("dynamodb").get_item(TableName=target.settings.guard_table, Key=key).get("Item", {})
        return bool(item.get("status", {}).get("S") == "COMPLETED")

    eventually(completed)
    rows = target.load_table().scan(f"tenant_id = '{tenant}'", selected_fields=("sale_id",)).to_arrow()
    assert rows["sale_id"].to_pylist() == ["sale-1"]


def test_the_rights_of_the_template_are_enough(enforced: Enforced, as_the_role: Settings) -> None:
    enforced.allow(enforced.statements)
    assert all_goes_well(enforced.target, as_the_role)


@pytest.mark.parametrize(("sid", "action"), ENFORCED)
def test_no_right_is_superfluous(enforced: Enforced, as_the_role: Settings, sid: str, action: str) -> None:
    enforced.allow(enforced.without(sid, action))
    assert not all_goes_well(enforced.target, as_the_role)


def test_a_sale_lands_without_the_right_to_read_the_commit_queue(enforced: Enforced, as_the_role: Settings) -> None:
    """The queue saves work: an attempt that cannot use it commits alone."""
    enforced.allow(enforced.without("ReadTheCommitQueue", "dynamodb:Query"))
    settings = replace(as_the_role, group_commit=GroupCommitMode.ALWAYS)
    given = event(tenantId=f"tenant-{uuid.uuid4().hex[:12]}")
    assert build(settings).handle(given, Context()) == {"statusCode": 200, "body": "Event processed successfully"}


@pytest.mark.parametrize(("sid", "action"), NOT_ENFORCED)
def test_what_the_emulator_does_not_enforce(enforced: Enforced, as_the_role: Settings, sid: str, action: str) -> None:
    enforced.allow(enforced.without(sid, action))
    assert all_goes_well(enforced.target, as_the_role)


def test_every_right_is_in_one_of_the_lists(enforced: Enforced) -> None:
    deployed = [
        (statement["Sid"].removesuffix("Anywhere"), action)
        for statement in enforced.statements
        for action in statement["Action"]
    ]
    assert sorted(deployed) == sorted(ENFORCED + NOT_ENFORCED)
