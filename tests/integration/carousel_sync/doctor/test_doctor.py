"""``carousel-sync doctor`` on a healthy embedded stack, and on one with each of many misconfigurations."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import FUNCTION_ALIAS, Target
from carousel_sync.doctor.checks import CHECKS, run_check, run_checks
from carousel_sync.doctor.finding import Finding, Status, exit_code
from carousel_sync.doctor.stage import Stage
from carousel_sync.local_stack.stack import DeliveryMode, LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from carousel_sync.project import PROJECT_ROOT
from tests.integration.carousel_sync.doctor.misconfigurations import MISCONFIGURATIONS
from tests.integration.carousel_sync.doctor.stage_changes import dead_letter, own_key, queue, rule_disabled

DRAIN_SECONDS = 60.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A separate stack with one sale in it: changes made here must not affect other tests."""
    with LocalStack(tmp_path_factory.mktemp("stack-doctor")) as stack:
        stack.up()
        target = stack.target()
        event = json.loads((PROJECT_ROOT / "examples" / "carousel-sold-event.json").read_text())
        url = buffer_queue.buffer_queue_url(target)
        target.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))
        assert buffer_queue.wait_until_empty(target, url, DRAIN_SECONDS)
        yield stack


@pytest.fixture
def target(own_stack: LocalStack) -> Target:
    return own_stack.target()


def findings(stage: Stage) -> dict[str, Finding]:
    return {check.name: finding for check, finding in run_checks(stage)}


def not_ok(stage: Stage) -> dict[str, Finding]:
    return {name: finding for name, finding in findings(stage).items() if finding.status is not Status.OK}


@pytest.mark.parametrize("name", MISCONFIGURATIONS)
def test_a_misconfiguration_is_reported_by_its_check_with_a_remedy(target: Target, name: str) -> None:
    wrong = MISCONFIGURATIONS[name]
    # A target reads the function's environment once, so every run of the checks needs a new target.
    with wrong.change(Stage(target)):
        found = not_ok(Stage(fresh(target)))
    assert found.keys() == {wrong.check} | (found.keys() & wrong.also), found
    assert wrong.seen in found[wrong.check].seen
    assert wrong.remedy in found[wrong.check].remedy
    assert found[wrong.check].status is wrong.status
    assert exit_code(found.values()) == (1 if wrong.status is Status.WARNING else 2)
    assert [finding.status for finding in checked_again(target, wrong.check)] == [Status.OK]


def checked_again(target: Target, name: str) -> list[Finding]:
    return [run_check(check, Stage(fresh(target))) for check in CHECKS if check.name == name]


def fresh(target: Target, session: boto3.Session | None = None) -> Target:
    """Return the same target as another process sees it."""
    return Target(
        stage=target.stage,
        region=target.region,
        session=session or target.session,
        endpoint_url=target.endpoint_url,
        credentials=target.credentials,
    )


def test_a_healthy_stage_is_ok_in_every_check(target: Target) -> None:
    found = findings(Stage(target))
    assert list(found) == [check.name for check in CHECKS]
    assert {finding.status for finding in found.values()} == {Status.OK}
    assert exit_code(found.values()) == 0
    assert all(finding.seen and not finding.remedy for finding in found.values())


def test_a_stage_with_direct_delivery_is_ok_until_something_is_removed(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        stack.up(DeliveryMode.DIRECT)
        target = stack.target()
        assert not_ok(Stage(target)) == {}
        with queue("buffer_queue", SqsManagedSseEnabled="false")(Stage(target)):
            assert [finding.seen for finding in checked_again(target, "encryption")] == [
                f"{Stage(target).buffer_queue} is not encrypted"
            ]
        client, name = target.client("lambda"), Stage(target).function
        statements = json.loads(client.get_policy(FunctionName=name, Qualifier=FUNCTION_ALIAS)["Policy"])["Statement"]
        for statement in statements:
            client.remove_permission(FunctionName=name, Qualifier=FUNCTION_ALIAS, StatementId=statement["Sid"])
        client.delete_function_event_invoke_config(FunctionName=name, Qualifier=FUNCTION_ALIAS)
        found = not_ok(Stage(target))
        assert found.keys() == {"rule target"}
        assert "may not invoke the function" in found["rule target"].seen
        assert "on-failure destination" in found["rule target"].seen


def test_a_key_that_allows_the_event_bus_is_ok(target: Target) -> None:
    with own_key(enabled=True, services=["events.amazonaws.com"])(Stage(target)):
        assert [finding.status for finding in checked_again(target, "encryption")] == [Status.OK]


# --- unreadable resources --------------------------------------------------------------------------------------------


def test_a_missing_stage_is_a_failure_with_a_remedy(target: Target) -> None:
    elsewhere = fresh(target)
    elsewhere.stage = "nowhere"
    found = findings(Stage(elsewhere))
    assert found["stack"].status is found["function"].status is Status.FAILURE
    assert "Check --stage" in found["stack"].remedy
    assert [name for name, finding in found.items() if finding.status is Status.OK] == ["credentials"]


def test_a_check_without_permission_is_not_checked_and_never_ok(target: Target) -> None:
    denied = fresh(target)
    for service in ("cloudformation", "events", "sqs", "lambda", "dynamodb", "s3tables", "s3", "cloudwatch", "iam"):
        denied.client(service).meta.events.register("before-call", deny)
    found = findings(Stage(denied))
    assert found.pop("credentials").status is Status.OK
    assert {finding.status for finding in found.values()} == {Status.NOT_CHECKED}
    assert "may not DescribeStacks" in found["stack"].seen
    assert exit_code(found.values()) == 3


def deny(model: Any, **_: object) -> None:
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, model.name)


def test_a_check_whose_operation_fails_is_not_checked(target: Target) -> None:
    broken = fresh(target)

    def unknown(model: Any, **_: object) -> None:
        raise ClientError({"Error": {"Code": "UnknownOperationException", "Message": "unknown operation"}}, model.name)

    broken.client("events").meta.events.register("before-call.eventbridge.TestEventPattern", unknown)
    found = not_ok(Stage(broken))
    assert found.keys() == {"event rule"}
    assert found["event rule"].status is Status.NOT_CHECKED
    assert "TestEventPattern" in found["event rule"].seen


def test_without_credentials_the_first_remedy_is_to_sign_in(
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


def test_only_the_first_check_runs_if_aws_cannot_be_reached(target: Target) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        unreachable = fresh(target)
        unreachable.endpoint_url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        found = findings(Stage(unreachable))
    assert found.pop("credentials").status is Status.FAILURE
    assert {finding.status for finding in found.values()} == {Status.NOT_CHECKED}


# --- permission to put events ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [True, False])
def test_the_permission_to_put_events_is_simulated_for_these_credentials_and_for_a_producer(
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
    large = fresh(target)

    def grown(parsed: dict[str, Any], **_: object) -> None:
        parsed["ContentLength"] = size

    large.client("s3").meta.events.register("after-call.s3.HeadObject", grown)
    found = not_ok(Stage(large))
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


def test_the_command_prints_text_or_json_and_exits_with_the_worst_status(own_stack: LocalStack, target: Target) -> None:
    shown = run(own_stack)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert all(check.name in shown.stdout for check in CHECKS)
    with dead_letter(Stage(target)):
        warned = run(own_stack)
        assert warned.returncode == 1
        assert "→ List them with their reasons: carousel-sync dlq list --stage dev --local" in warned.stdout
    with rule_disabled(Stage(target)):
        failed = run(own_stack, "--json")
        assert failed.returncode == 2
        document = json.loads(failed.stdout)
    assert document["exit_code"] == 2
    (bad,) = [check for check in document["checks"] if check["status"] != "ok"]
    assert (bad["check"], bad["status"]) == ("event rule", "failure")
