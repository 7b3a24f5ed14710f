"""``carousel-sync deploy`` and ``destroy`` against the emulator's CloudFormation, on a stage of its own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from carousel_sync.aws.target import FUNCTION_ALIAS, function_name
from carousel_sync.cli import app
from carousel_sync.command_line.stage import resolve
from carousel_sync.deployment import change_set, commands, stored_data
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.release.project_zip import package_code
from schemas import migrations

STAGE = "second"
STORES = {
    f"carousel-{STAGE}-analytics",
    f"carousel-{STAGE}-analytics/pricing_intelligence",
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
        # The emulator does not have a schema registry.
        fixed = ("--stage", STAGE, "--artefact", str(artefact), "-p", "SchemaRegistry=false")
        return run("deploy", *fixed, *arguments, given=given)

    return deployed


def stacks(run: Run) -> set[str]:
    found = resolve(STAGE, local=False).client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"] for stack in found}


@contextmanager
def a_new_migration(folder: Path) -> Iterator[None]:
    """Add a migration, as somebody who follows docs/schema-evolution.md does."""
    page = (PROJECT_ROOT / "docs/schema-evolution.md").read_text()
    name, text = "0004_sales_channel", re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "__path__", [*migrations.__path__, str(folder)])
        try:
            yield
        finally:
            sys.modules.pop(f"{migrations.__name__}.{name}", None)


def test_the_life_of_a_stage(run: Run, deploy: Run, tmp_path: Path) -> None:
    declined = deploy(given="no\n")
    assert declined.exit_code == 3
    assert "SyncFunction" in declined.stdout
    assert "Version 2, currency" in declined.stdout
    assert "add the column currency" in declined.stdout
    assert "To carry out this change set and these migrations" in declined.stderr
    assert f"carousel-sync-{STAGE}" not in stacks(run)

    first = deploy(given="yes\n")
    assert first.exit_code == 0, first.output
    assert f"carousel-sync-{STAGE}" in stacks(run)
    assert "brought up to date" in first.stdout
    assert resolve(STAGE, local=False).load_table().current_snapshot() is None

    again = deploy("--yes", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["table_changed"] is False

    assert "No migration of the Iceberg table is pending." in deploy().stdout
    with a_new_migration(tmp_path):
        unwanted = deploy(given="no\n")
        assert unwanted.exit_code == 3, unwanted.output
        assert f"Stack carousel-sync-{STAGE} is up to date" in unwanted.stdout
        assert "add the column sales_channel" in unwanted.stdout
        assert "To carry out these migrations, type yes" in unwanted.stderr
        assert run("evolve", "status", "--stage", STAGE).exit_code == 3
        wanted = deploy("--yes", "--json")
        document = json.loads(wanted.stdout)
        assert [step["migration"] for step in document["migrations"]] == ["sales_channel"]
        assert document["table_changed"] is True

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

    again = deploy("--yes")
    assert again.exit_code == 1
    assert all(f"  {name}\n" in again.output for name in STORES)
    assert f"make destroy STAGE={STAGE} DATA=" in again.output
    assert f"carousel-sync-{STAGE}" not in stacks(run)

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


def test_the_options_of_the_template(deploy: Run, run: Run) -> None:
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

    switched = deploy("--yes", "-p", "CustomerManagedKey=false")
    assert switched.exit_code == 1
    assert "CustomerManagedKey=true, which can't be changed" in switched.output
    same = deploy("--yes", "-p", "CustomerManagedKey=true")
    assert same.exit_code == 0, same.output

    (key,) = keys()
    alone = run("destroy", "--stage", STAGE, "--data", key, "--yes")
    assert alone.exit_code == 1
    assert f"carousel-sync-{STAGE}\n" not in alone.output
    assert f"carousel-{STAGE}-analytics" in alone.output
    assert f"carousel-sync-{STAGE}" in stacks(run)
    assert delete_everything(run, key).exit_code == 0
    assert keys() == []


def keys() -> list[str]:
    stores = stored_data.of_stage(resolve(STAGE, local=False))
    return [store.name for store in stores if store.logical_id == stored_data.KEY]


def delete_everything(run: Run, *more: str) -> Result:
    named = [part for name in (*sorted(STORES), *more) for part in ("--data", name)]
    return run("destroy", "--stage", STAGE, *named, "--yes")


def test_deleting_a_store_deletes_the_stores_within_it(deploy: Run, run: Run) -> None:
    assert deploy("--yes").exit_code == 0
    bucket = f"carousel-{STAGE}-analytics"
    result = run("destroy", "--stage", STAGE, "--data", bucket, "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["deleted"]) == {bucket, f"{bucket}/pricing_intelligence"}
    rest = [part for name in json.loads(result.stdout)["kept"] for part in ("--data", name)]
    assert run("destroy", "--stage", STAGE, *rest, "--yes").exit_code == 0


def test_a_kept_archive_conflicts_only_with_a_new_archive(deploy: Run, run: Run) -> None:
    events = resolve(STAGE, local=False).client("events")
    bus = events.describe_event_bus()["Arn"]
    events.create_archive(ArchiveName=f"carousel-sync-{STAGE}", EventSourceArn=bus)
    refused = deploy("--yes", "-p", "ArchiveDays=7")
    assert refused.exit_code == 1
    assert f"  archive/carousel-sync-{STAGE}\n" in refused.output
    assert f"carousel-sync-{STAGE}" not in stacks(run)
    deployed = deploy("--yes")
    assert deployed.exit_code == 0, deployed.output
    assert delete_everything(run, f"archive/carousel-sync-{STAGE}").exit_code == 0
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        events.describe_archive(ArchiveName=f"carousel-sync-{STAGE}")


def test_a_first_deployment_that_fails_leaves_no_store_behind(
    deploy: Run, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A resource that can't be created, after all stores.
    broken = """
  Broken:
    Type: AWS::CloudWatch::Dashboard
    DependsOn: [Namespace, GuardTable, ProjectionTable, BufferQueue]
    Properties: { DashboardName: broken, DashboardBody: "" }
"""
    text = (PROJECT_ROOT / "template.yaml").read_text().replace("\nOutputs:\n", f"{broken}\nOutputs:\n")
    (tmp_path / "template.yaml").write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr(commands, "TEMPLATE", tmp_path / "template.yaml")
        failed = deploy("--yes")
    assert failed.exit_code == 1
    assert "Broken" in failed.output
    assert "its stores too" in failed.output
    assert "Namespace CREATE_COMPLETE" in failed.output
    target = resolve(STAGE, local=False)
    assert stored_data.named_stores(target) == []
    change_set.delete_stack(target)
    deployed = deploy("--yes")
    assert deployed.exit_code == 0, deployed.output
    assert delete_everything(run).exit_code == 0
