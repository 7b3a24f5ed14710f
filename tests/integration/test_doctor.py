"""``carousel-sync doctor`` on the embedded stack: a healthy one, and one with each of many misconfigurations."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops import queues
from ops.doctor.finding import Finding, Status, exit_code
from ops.doctor.run import CHECKS, carry_out, examine
from ops.doctor.stage import Stage
from ops.local_stack.stack import DeliveryMode, LocalStack
from ops.local_stack.state import PROJECT_ROOT, STATE_DIR_VARIABLE
from ops.target import FUNCTION_ALIAS, Target

Change = AbstractContextManager[None]
DRAIN_SECONDS = 60.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of its own, with one sale in it: what is changed here must not reach another test."""
    with LocalStack(tmp_path_factory.mktemp("stack-doctor")) as stack:
        stack.up()
        target = stack.target()
        event = json.loads((PROJECT_ROOT / "examples" / "carousel-sold-event.json").read_text())
        url = queues.buffer_queue_url(target)
        target.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))
        assert queues.wait_until_empty(target, url, DRAIN_SECONDS)
        yield stack


@pytest.fixture
def target(own_stack: LocalStack) -> Target:
    return own_stack.target()


def findings(stage: Stage) -> dict[str, Finding]:
    return {check.name: finding for check, finding in examine(stage)}


def not_ok(stage: Stage) -> dict[str, Finding]:
    return {name: finding for name, finding in findings(stage).items() if finding.status is not Status.OK}


def queue_url(stage: Stage, name: str) -> str:
    return str(stage.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


# --- misconfigurations, each of them undone at the end ---------------------------------------------------------------


@contextmanager
def rule_disabled(stage: Stage) -> Iterator[None]:
    stage.client("events").disable_rule(Name=stage.rule)
    yield
    stage.client("events").enable_rule(Name=stage.rule)


def pattern(detail_type: str) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        events = stage.client("events")
        before = events.describe_rule(Name=stage.rule)["EventPattern"]
        wrong = {"source": ["carousel.products"]} | ({"detail-type": [detail_type]} if detail_type else {})
        events.put_rule(Name=stage.rule, EventPattern=json.dumps(wrong), State="ENABLED")
        yield
        events.put_rule(Name=stage.rule, EventPattern=before, State="ENABLED")

    return change


def rule_target(**changes: Any) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        events = stage.client("events")
        (before,) = events.list_targets_by_rule(Rule=stage.rule)["Targets"]
        events.remove_targets(Rule=stage.rule, Ids=[before["Id"]])
        after = {name: value for name, value in {**before, **changes}.items() if value is not None}
        events.put_targets(Rule=stage.rule, Targets=[after])
        yield
        events.remove_targets(Rule=stage.rule, Ids=[before["Id"]])
        events.put_targets(Rule=stage.rule, Targets=[before])

    return change


def queue(name: str, **attributes: str) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        sqs, url = stage.client("sqs"), queue_url(stage, getattr(stage, name))
        before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        yield
        sqs.set_queue_attributes(QueueUrl=url, Attributes={name: before.get(name, "") for name in attributes})

    return change


def mapping(**changes: Any) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client = stage.client("lambda")
        (found,) = client.list_event_source_mappings(FunctionName=stage.function)["EventSourceMappings"]
        client.update_event_source_mapping(UUID=found["UUID"], **changes)
        yield
        before = {"FunctionResponseTypes": found["FunctionResponseTypes"], "Enabled": True}
        client.update_event_source_mapping(UUID=found["UUID"], **before)

    return change


def newest(**changes: Any) -> Callable[[Stage], Change]:
    """Change the function, and not the version that events are delivered to."""

    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client = stage.client("lambda")
        before = client.get_function_configuration(FunctionName=stage.function)
        for values in (changes, {name: before[name] for name in changes}):
            client.update_function_configuration(FunctionName=stage.function, **values)
            client.get_waiter("function_active_v2").wait(FunctionName=stage.function, WaiterConfig={"Delay": 1})
            if values is changes:
                yield

    return change


def function(**changes: Any) -> Callable[[Stage], Change]:
    """Change the function, and deliver events to what it is then."""

    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client, alias = stage.client("lambda"), {"FunctionName": stage.function, "Name": FUNCTION_ALIAS}
        before = client.get_alias(**alias)["FunctionVersion"]
        with newest(**changes)(stage):
            client.update_alias(**alias, FunctionVersion=client.publish_version(FunctionName=stage.function)["Version"])
            yield
        client.update_alias(**alias, FunctionVersion=before)

    return change


@contextmanager
def throttled(stage: Stage) -> Iterator[None]:
    client = stage.client("lambda")
    client.put_function_concurrency(FunctionName=stage.function, ReservedConcurrentExecutions=0)
    yield
    client.delete_function_concurrency(FunctionName=stage.function)


def variable(name: str, value: str | None) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client = stage.client("lambda")
        before = client.get_function_configuration(FunctionName=stage.function)["Environment"]["Variables"]
        after = {one: text for one, text in {**before, name: value}.items() if text is not None}
        with function(Environment={"Variables": after})(stage):
            yield

    return change


def no_ttl(table: str) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client, name = stage.client("dynamodb"), getattr(stage, table)
        for enabled in (False, True):
            client.update_time_to_live(
                TableName=name, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": enabled}
            )
            if not enabled:
                yield

    return change


@contextmanager
def no_recovery(stage: Stage) -> Iterator[None]:
    for enabled in (False, True):
        stage.client("dynamodb").update_continuous_backups(
            TableName=stage.projection_table,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled},
        )
        if not enabled:
            yield


def maintenance(kind: str, value: dict[str, Any]) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        where = {"tableBucketARN": stage.bucket_arn, "namespace": "pricing_intelligence", "name": "sales_history"}
        client = stage.client("s3tables")
        before = client.get_table_maintenance_configuration(**where)["configuration"][kind]
        client.put_table_maintenance_configuration(**where, type=kind, value=value)
        yield
        client.put_table_maintenance_configuration(**where, type=kind, value=before)

    return change


def table_property(name: str, value: str) -> Callable[[Stage], Change]:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        before = stage.target.load_table().properties.get(name)
        with stage.target.load_table().transaction() as transaction:
            transaction.set_properties({name: value})
        yield
        with stage.target.load_table().transaction() as transaction:
            if before is None:
                transaction.remove_properties(name)
            else:
                transaction.set_properties({name: before})

    return change


@contextmanager
def table_renamed(stage: Stage) -> Iterator[None]:
    client, namespace = stage.client("s3tables"), "pricing_intelligence"
    for before, after in (("sales_history", "elsewhere"), ("elsewhere", "sales_history")):
        client.rename_table(tableBucketARN=stage.bucket_arn, namespace=namespace, name=before, newName=after)
        if after == "elsewhere":
            yield


def own_key(*, enabled: bool, services: list[str]) -> Callable[[Stage], Change]:
    """The queues are encrypted with a key of the account."""

    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        kms = stage.client("kms")
        statement = {"Effect": "Allow", "Action": ["kms:GenerateDataKey*", "kms:Decrypt"], "Resource": "*"}
        statements = [{**statement, "Principal": {"Service": service}} for service in services]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        key = kms.create_key(Policy=policy)["KeyMetadata"]["KeyId"]
        if not enabled:
            kms.disable_key(KeyId=key)
        with queue("dead_letter_queue", KmsMasterKeyId=key, SqsManagedSseEnabled="false")(stage):
            yield

    return change


@contextmanager
def dead_letter(stage: Stage) -> Iterator[None]:
    url = queue_url(stage, stage.dead_letter_queue)
    stage.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    yield
    stage.client("sqs").purge_queue(QueueUrl=url)


@contextmanager
def alarm_rings(stage: Stage) -> Iterator[None]:
    name = f"carousel-sync-{stage.target.stage}-FailedCommits"
    for state in ("ALARM", "OK"):
        stage.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
        if state == "ALARM":
            yield


@contextmanager
def alarm_deleted(stage: Stage) -> Iterator[None]:
    client, name = stage.client("cloudwatch"), f"carousel-sync-{stage.target.stage}-Takeovers"
    (before,) = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    client.delete_alarms(AlarmNames=[name])
    yield
    accepted = client.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    client.put_metric_alarm(**{key: value for key, value in before.items() if key in accepted})


POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
ELSEWHERE = "arn:aws:s3tables:eu-west-1:000000000000:bucket/somewhere-else"

# What is changed; the check that has to report it, and what its report names; other checks that suffer from it.
MISCONFIGURATIONS: dict[str, tuple[Callable[[Stage], Change], str, str, str, set[str]]] = {
    "the rule is disabled": (rule_disabled, "event rule", "DISABLED", "aws events enable-rule", set()),
    "the rule's pattern misses sales": (
        pattern("carousel.product.SOLD"),
        "event rule",
        "does not match a sale",
        "Deploy",
        set(),
    ),
    "the rule's pattern is too wide": (pattern(""), "event rule", "matches what is not a sale", "Deploy", set()),
    "the rule's target is another queue": (
        rule_target(Arn="arn:aws:sqs:eu-west-1:000000000000:another"),
        "rule target",
        "sales go nowhere",
        "Deploy",
        set(),
    ),
    "the target has no dead-letter queue": (
        rule_target(DeadLetterConfig=None),
        "rule target",
        "does not keep undeliverable events",
        "Deploy",
        set(),
    ),
    "the rule may not send to the buffer queue": (
        queue("buffer_queue", Policy=POLICY),
        "buffer queue",
        "does not let rule",
        "Deploy",
        set(),
    ),
    "the buffer queue drops what it gives up": (
        queue("buffer_queue", RedrivePolicy=""),
        "buffer queue",
        "no redrive policy",
        "Deploy",
        set(),
    ),
    "messages come back while they are processed": (
        queue("buffer_queue", VisibilityTimeout="60"),
        "buffer queue",
        "60 s, which is less than 360 s",
        "Deploy",
        set(),
    ),
    "the rule may not send to the dead-letter queue": (
        queue("dead_letter_queue", Policy=POLICY),
        "dead-letter queue",
        "does not let rule",
        "Deploy",
        set(),
    ),
    "dead letters are forgotten early": (
        queue("dead_letter_queue", MessageRetentionPeriod="86400"),
        "dead-letter queue",
        "1.0 days instead of 14",
        "Deploy",
        set(),
    ),
    "the queue's key is disabled": (
        own_key(enabled=False, services=["events.amazonaws.com"]),
        "encryption",
        "is Disabled",
        "aws kms enable-key --key-id",
        set(),
    ),
    "the queue's key does not let the event bus in": (
        own_key(enabled=True, services=["sns.amazonaws.com"]),
        "encryption",
        "does not let the event bus kms:GenerateDataKey and kms:Decrypt",
        "Deploy",
        set(),
    ),
    "the queue's key is the one that AWS manages": (
        queue("dead_letter_queue", KmsMasterKeyId="alias/aws/sqs"),
        "encryption",
        "the event bus may not use",
        "Deploy",
        set(),
    ),
    "the mapping is disabled": (
        mapping(Enabled=False),
        "queue to function",
        "sales wait in the queue",
        "aws lambda update-event-source-mapping --uuid",
        set(),
    ),
    "the mapping ignores partial failures": (
        mapping(FunctionResponseTypes=[]),
        "queue to function",
        "failed sales would be lost",
        "Deploy",
        set(),
    ),
    "the function's time-out was changed": (
        function(Timeout=3),
        "function",
        "Timeout is 3, the template says 60",
        "Deploy",
        set(),
    ),
    "the function's memory was changed": (
        function(MemorySize=256),
        "function",
        "MemorySize is 256, the template says '512'",
        "Deploy",
        set(),
    ),
    "the function was changed and not published": (
        newest(Timeout=30),
        "function",
        "is not the newest code or configuration",
        "Deploy",
        set(),
    ),
    "the function is throttled by hand": (
        throttled,
        "function",
        "its concurrency is limited to 0",
        "Somebody changed it by hand",
        set(),
    ),
    "a variable is missing": (
        variable("GUARD_TABLE", None),
        "environment",
        "GUARD_TABLE is missing",
        "Deploy",
        # Without settings nobody knows which table is meant.
        {"table bucket", "namespace", "Iceberg table", "maintenance", "table metadata", "last commit"},
    ),
    "a variable names another table": (
        variable("PROJECTION_TABLE", "another"),
        "environment",
        "PROJECTION_TABLE is 'another'",
        "Deploy",
        set(),
    ),
    "the guard forgets nothing": (
        no_ttl("guard_table"),
        "guard table",
        "nothing in it ever expires",
        "aws dynamodb update-time-to-live --table-name pricing-idempotency-dev",
        set(),
    ),
    "the projection forgets nothing": (
        no_ttl("projection_table"),
        "projection table",
        "nothing in it ever expires",
        "aws dynamodb update-time-to-live",
        set(),
    ),
    "point-in-time recovery is off": (
        no_recovery,
        "projection recovery",
        "DISABLED",
        "aws dynamodb update-continuous-backups",
        set(),
    ),
    "the function writes to another bucket": (
        variable("TABLE_BUCKET_ARN", ELSEWHERE),
        "table bucket",
        "instead of",
        "Deploy",
        {"Iceberg table", "maintenance", "table metadata", "last commit"},
    ),
    "the Iceberg table is missing": (
        table_renamed,
        "Iceberg table",
        "sales_history",
        "carousel-sync evolve apply --stage dev",
        {"maintenance", "table metadata", "last commit"},
    ),
    "the schema is older than the code": (
        table_property("carousel.schema-version", "0"),
        "Iceberg table",
        "has version 0",
        "carousel-sync evolve apply --stage dev",
        set(),
    ),
    "compaction is off": (
        maintenance("icebergCompaction", {"status": "disabled"}),
        "maintenance",
        "small files pile up",
        "carousel-sync evolve apply --stage dev",
        set(),
    ),
    "snapshot management is off": (
        maintenance("icebergSnapshotManagement", {"status": "disabled"}),
        "maintenance",
        "the metadata only grows",
        "carousel-sync evolve apply --stage dev",
        set(),
    ),
    "snapshots live as long as S3 Tables has them by default": (
        maintenance("icebergSnapshotManagement", {"status": "enabled"}),
        "maintenance",
        "snapshots live for 120 h",
        "Set it: carousel-sync evolve apply --stage dev",
        set(),
    ),
    "a property disables snapshot management": (
        table_property("history.expire.max-snapshot-age-ms", "1"),
        "maintenance",
        "switches the snapshot management off",
        "UNSET TBLPROPERTIES",
        set(),
    ),
    "a dead letter waits": (dead_letter, "dead letters", "1 events wait", "carousel-sync dlq list --stage dev", set()),
    "an alarm rings": (alarm_rings, "alarms", "carousel-sync-dev-FailedCommits", "section FailedCommits", set()),
    "an alarm was deleted": (alarm_deleted, "alarms", "carousel-sync-dev-Takeovers", "Deploy", set()),
}
WARNINGS = {
    "projection recovery",
    "dead letters",
    "the function was changed and not published",
    "snapshots live as long as S3 Tables has them by default",
}


@pytest.mark.parametrize("name", MISCONFIGURATIONS)
def test_a_misconfiguration_is_reported_by_its_check_with_a_remedy(target: Target, name: str) -> None:
    change, check, seen, remedy, also = MISCONFIGURATIONS[name]
    # The target of a command reads the function's environment once; each look is a command of its own.
    with change(Stage(target)):
        found = not_ok(Stage(fresh(target)))
    assert found.keys() == {check} | (found.keys() & also), found
    assert seen in found[check].seen
    assert remedy in found[check].remedy
    wanted = Status.WARNING if {check, name} & WARNINGS else Status.FAILURE
    assert found[check].status is wanted
    assert exit_code(found.values()) == (1 if wanted is Status.WARNING else 2)
    assert [one.status for one in looked_again(target, check)] == [Status.OK]


def looked_again(target: Target, name: str) -> list[Finding]:
    return [carry_out(check, Stage(fresh(target))) for check in CHECKS if check.name == name]


def fresh(target: Target, session: boto3.Session | None = None) -> Target:
    """Return the same target, as another process sees it."""
    return Target(
        stage=target.stage,
        region=target.region,
        session=session or target.session,
        endpoint_url=target.endpoint_url,
        credentials=target.credentials,
    )


def test_a_healthy_stage_has_no_finding(target: Target) -> None:
    found = findings(Stage(target))
    assert list(found) == [check.name for check in CHECKS]
    assert {finding.status for finding in found.values()} == {Status.OK}
    assert exit_code(found.values()) == 0
    assert all(finding.seen and not finding.remedy for finding in found.values())


def test_a_healthy_stage_with_direct_delivery_has_none_either_until_something_is_taken_away(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        stack.up(DeliveryMode.DIRECT)
        target = stack.target()
        assert not_ok(Stage(target)) == {}
        client, name = target.client("lambda"), Stage(target).function
        statements = json.loads(client.get_policy(FunctionName=name, Qualifier=FUNCTION_ALIAS)["Policy"])["Statement"]
        for statement in statements:
            client.remove_permission(FunctionName=name, Qualifier=FUNCTION_ALIAS, StatementId=statement["Sid"])
        client.delete_function_event_invoke_config(FunctionName=name, Qualifier=FUNCTION_ALIAS)
        found = not_ok(Stage(target))
        assert found.keys() == {"rule target"}
        assert "may not invoke the function" in found["rule target"].seen
        assert "on-failure destination" in found["rule target"].seen


def test_a_key_that_lets_the_event_bus_in_is_ok(target: Target) -> None:
    with own_key(enabled=True, services=["events.amazonaws.com"])(Stage(target)):
        assert [one.status for one in looked_again(target, "encryption")] == [Status.OK]


# --- what can't be read ----------------------------------------------------------------------------------------------


def test_a_stage_that_is_not_there_fails_and_says_what_to_check(target: Target) -> None:
    elsewhere = fresh(target)
    elsewhere.stage = "nowhere"
    found = findings(Stage(elsewhere))
    assert found["stack"].status is found["function"].status is Status.FAILURE
    assert "Check --stage" in found["stack"].remedy
    assert [name for name, finding in found.items() if finding.status is Status.OK] == ["credentials"]


def test_what_these_credentials_may_not_read_is_not_checked_and_never_ok(target: Target) -> None:
    denied = fresh(target)
    for service in ("cloudformation", "events", "sqs", "lambda", "dynamodb", "s3tables", "s3", "cloudwatch", "iam"):
        denied.client(service).meta.events.register("before-call", deny)
    found = findings(Stage(denied))
    assert found.pop("credentials").status is Status.OK
    assert {finding.status for finding in found.values()} == {Status.NOT_CHECKED}
    assert "may not DescribeStacks" in found["stack"].seen
    assert exit_code(found.values()) == 1


def deny(model: Any, **_: object) -> None:
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, model.name)


def test_an_operation_that_the_service_does_not_know_is_not_checked(target: Target) -> None:
    odd = fresh(target)

    def unknown(model: Any, **_: object) -> None:
        raise ClientError({"Error": {"Code": "UnknownOperationException", "Message": "what?"}}, model.name)

    odd.client("events").meta.events.register("before-call.eventbridge.TestEventPattern", unknown)
    found = not_ok(Stage(odd))
    assert found.keys() == {"event rule"}
    assert found["event rule"].status is Status.NOT_CHECKED
    assert "TestEventPattern" in found["event rule"].seen


def test_without_credentials_the_first_line_says_how_to_sign_in(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    found = findings(Stage(fresh(target, boto3.Session())))
    assert found["credentials"].status is Status.FAILURE
    assert "Sign in" in found["credentials"].remedy
    assert {finding.status for name, finding in found.items() if name != "credentials"} == {Status.NOT_CHECKED}


def test_where_aws_does_not_answer_only_the_first_check_is_tried(target: Target) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = fresh(target)
        nobody.endpoint_url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        found = findings(Stage(nobody))
    assert found.pop("credentials").status is Status.FAILURE
    assert {finding.status for finding in found.values()} == {Status.NOT_CHECKED}


# --- rights to put events --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [True, False])
def test_the_right_to_put_events_is_simulated_for_these_credentials_and_for_a_producer(
    target: Target, allowed: bool
) -> None:
    iam, name = target.client("iam"), f"user-{uuid.uuid4().hex[:8]}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    action = "events:PutEvents" if allowed else "events:PutRule"
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="events", PolicyDocument=policy)
    own = boto3.Session(
        aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], region_name=target.region
    )
    for stage, denied in (
        (Stage(fresh(target, own)), Status.WARNING),
        (Stage(target, producer=arn), Status.FAILURE),
    ):
        found = findings(stage)["put events"]
        assert found.status is (Status.OK if allowed else denied)
        assert arn in found.seen
        assert allowed or "Allow events:PutEvents on arn:aws:events:eu-west-1:" in found.remedy
    iam.delete_user_policy(UserName=name, PolicyName="events")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


# --- size and age ----------------------------------------------------------------------------------------------------


def test_a_day_without_a_commit_is_a_warning(target: Target) -> None:
    later = Stage(target, now=lambda: datetime.now(UTC) + timedelta(days=3))
    found = not_ok(later)
    assert found.keys() == {"last commit"}
    assert found["last commit"].status is Status.WARNING
    assert "3 days ago" in found["last commit"].seen


@pytest.mark.parametrize(("size", "status"), [(20_000_000, Status.WARNING), (40_000_000, Status.FAILURE)])
def test_large_metadata_is_reported(target: Target, size: int, status: Status) -> None:
    heavy = fresh(target)

    def grown(parsed: dict[str, Any], **_: object) -> None:
        parsed["ContentLength"] = size

    heavy.client("s3").meta.events.register("after-call.s3.HeadObject", grown)
    found = not_ok(Stage(heavy))
    assert found.keys() == {"table metadata"}
    assert found["table metadata"].status is status
    assert f"{size / 1e6:.1f} MB" in found["table metadata"].seen


# --- the command -----------------------------------------------------------------------------------------------------


def run(stack: LocalStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, STATE_DIR_VARIABLE: str(stack.directory), "NO_COLOR": "1", "COLUMNS": "200"}
    program = Path(sys.executable).with_name("carousel-sync")
    return subprocess.run(
        [program, "doctor", "--local", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_tells_people_and_programs_and_exits_by_the_worst(own_stack: LocalStack, target: Target) -> None:
    shown = run(own_stack)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert all(check.name in shown.stdout for check in CHECKS)
    with dead_letter(Stage(target)):
        warned = run(own_stack)
        assert warned.returncode == 1
        assert "→ See why: carousel-sync dlq list" in warned.stdout
    with rule_disabled(Stage(target)):
        failed = run(own_stack, "--json")
        assert failed.returncode == 2
        document = json.loads(failed.stdout)
    assert document["exit_code"] == 2
    (bad,) = [one for one in document["checks"] if one["status"] != "ok"]
    assert (bad["check"], bad["status"]) == ("event rule", "failure")
