"""``carousel-sync deploy`` and ``destroy`` against the emulator's CloudFormation, on a stage of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ops.cli import app
from ops.local_stack.stack import LocalStack
from ops.local_stack.state import PROJECT_ROOT
from ops.packaging import package_code
from ops.target import FUNCTION_ALIAS, function_name, resolve

STAGE = "second"
STORES = {
    f"carousel-{STAGE}-analytics",
    f"bg-remover-{STAGE}-sales-intelligence",
    f"pricing-idempotency-{STAGE}",
    f"carousel-sync-{STAGE}",
    f"carousel-sync-dlq-{STAGE}",
}
Run = Callable[..., Result]


@pytest.fixture
def run(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the emulator as if it were AWS."""
    endpoint = stack.target().endpoint_url
    assert endpoint is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_REGION", stack.target().region)
    return lambda *arguments, given="": CliRunner().invoke(app, list(arguments), input=given)


@pytest.fixture
def deploy(run: Run, tmp_path: Path) -> Run:
    artefact = tmp_path / "artefact.zip"
    artefact.write_bytes(package_code(PROJECT_ROOT).content)

    def deployed(*arguments: str, given: str = "") -> Result:
        # The emulator has no schema registry.
        fixed = ("--stage", STAGE, "--artefact", str(artefact), "-p", "SchemaRegistry=false")
        return run("deploy", *fixed, *arguments, given=given)

    return deployed


def stacks(run: Run) -> set[str]:
    found = resolve(STAGE, local=False).client("cloudformation").describe_stacks()["Stacks"]
    return {one["StackName"] for one in found}


def test_the_life_of_a_stage(run: Run, deploy: Run) -> None:
    declined = deploy(given="no\n")
    assert declined.exit_code == 3
    assert "SyncFunction" in declined.stdout
    assert f"carousel-sync-{STAGE}" not in stacks(run)

    first = deploy(given="yes\n")
    assert first.exit_code == 0, first.output
    assert f"carousel-sync-{STAGE}" in stacks(run)
    assert "brought up to date" in first.stdout
    assert resolve(STAGE, local=False).load_table().current_snapshot() is None

    again = deploy("--yes", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["table_changed"] is False

    changed = deploy("--yes", "-p", "LogRetentionDays=7")
    assert changed.exit_code == 0, changed.output
    assert "LogGroup" in changed.stdout

    mistyped = run("destroy", "--stage", STAGE, given="first\n")
    assert mistyped.exit_code == 3
    assert f"carousel-sync-{STAGE}" in stacks(run)

    unknown = run("destroy", "--stage", STAGE, "--data", "carousel-prod-analytics", "--yes")
    assert unknown.exit_code == 1
    assert "no store named carousel-prod-analytics" in unknown.output
    assert f"carousel-sync-{STAGE}" in stacks(run)

    kept = run("destroy", "--stage", STAGE, "--json", "--yes")
    assert kept.exit_code == 0, kept.output
    assert f"carousel-sync-{STAGE}" not in stacks(run)
    assert set(json.loads(kept.stdout)["kept"]) == STORES

    named = [part for name in sorted(STORES) for part in ("--data", name)]
    gone = run("destroy", "--stage", STAGE, *named, "--json", given=f"{STAGE}\n")
    assert gone.exit_code == 0, gone.output
    assert json.loads(run("destroy", "--stage", STAGE, "--json", "--yes").stdout)["kept"] == []


def test_a_missing_artefact_changes_nothing(run: Run, tmp_path: Path) -> None:
    result = run("deploy", "--stage", STAGE, "--artefact", str(tmp_path / "none.zip"))
    assert result.exit_code == 1
    assert "make build" in result.output
    assert f"carousel-sync-{STAGE}" not in stacks(run)


def test_a_malformed_parameter_changes_nothing(deploy: Run) -> None:
    result = deploy("-p", "Stage")
    assert result.exit_code == 1
    assert "NAME=VALUE" in result.output


def test_the_options_of_the_template_can_be_deployed(deploy: Run, run: Run) -> None:
    options = ("CustomerManagedKey=true", "Tracing=Active", "SnapStart=PublishedVersions")
    deployed = deploy("--yes", *(part for option in options for part in ("-p", option)))
    assert deployed.exit_code == 0, deployed.output
    target = resolve(STAGE, local=False)
    live = target.client("lambda").get_function_configuration(FunctionName=f"{function_name(STAGE)}:{FUNCTION_ALIAS}")
    assert live["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert live["TracingConfig"] == {"Mode": "Active"}
    queues = target.client("sqs")
    for queue in (f"carousel-sync-{STAGE}", f"carousel-sync-dlq-{STAGE}"):
        url = queues.get_queue_url(QueueName=queue)["QueueUrl"]
        attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["KmsMasterKeyId"])["Attributes"]
        assert ":key/" in attributes["KmsMasterKeyId"]
    named = [part for name in sorted(STORES) for part in ("--data", name)]
    assert run("destroy", "--stage", STAGE, *named, "--yes").exit_code == 0
