"""``carousel-sync evolve`` on tables in every state, with its exit codes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from pyiceberg.types import StringType
from typer.testing import CliRunner, Result

from carousel_sync import cli
from carousel_sync.aws.target import Target
from carousel_sync.local_stack.stack import LocalStack
from catalog_config.provision import ensure_table
from schemas.evolution.migration import load_migrations

NAMESPACE = "evolve_commands"
NEWEST = len(load_migrations())

Evolve = Callable[..., Result]


@pytest.fixture
def target(stack: LocalStack) -> Target:
    """The stack as a target whose table does not exist yet."""
    target = stack.target()
    target.settings = replace(target.settings, namespace=NAMESPACE, table=f"t{uuid.uuid4().hex[:12]}")
    return target


@pytest.fixture
def evolve(target: Target, monkeypatch: pytest.MonkeyPatch) -> Evolve:
    monkeypatch.setattr("carousel_sync.table.commands.resolve", lambda *_: target)
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *arguments: CliRunner().invoke(cli.app, ["evolve", *arguments])


def create(target: Target, to: int | None = None) -> None:
    ensure_table(target.catalog(), target.settings.namespace, target.settings.table, to)


def table(target: Target) -> str:
    return ".".join(target.settings.table_identifier)


def test_a_missing_table_is_created(target: Target, evolve: Evolve) -> None:
    status = evolve("status")
    assert status.exit_code == 3
    assert "the table does not exist. Create it: carousel-sync evolve apply --stage dev --local" in status.stdout
    assert evolve("plan").exit_code == 3
    created = evolve("apply")
    assert created.exit_code == 0
    assert f"Created the table {table(target)}" in created.stdout
    assert f"The table is at version {NEWEST}" in created.stdout
    assert evolve("status").exit_code == 0


def test_a_table_that_is_behind_is_brought_up_to_date(target: Target, evolve: Evolve) -> None:
    create(target, to=1)
    status = evolve("status", "--json")
    assert status.exit_code == 3
    document = json.loads(status.stdout)
    assert (document["state"], document["table_version"], document["code_version"]) == ("behind", 1, NEWEST)
    assert document["columns"]["embedding_vector.element"] == 24

    planned = evolve("plan")
    assert planned.exit_code == 3
    assert "add the column currency (string, id 25) after sold_price" in planned.stdout
    assert "Readers: Existing rows read null." in planned.stdout
    assert 'add-schema {"schema-id": 1}' in planned.stdout
    steps = json.loads(evolve("plan", "--to", "2", "--json").stdout)["steps"]
    assert {step["version"] for step in steps} == {2}
    assert steps[0]["updates"][0]["action"] == "add-schema"

    dry = evolve("apply", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (3, planned.stdout)
    assert json.loads(evolve("status", "--json").stdout)["table_version"] == 1

    partly = json.loads(evolve("apply", "--to", "2", "--json").stdout)
    assert (partly["version"], partly["changed"], len(partly["operations"])) == (2, True, 3)
    assert "Version 3: sort rows" in evolve("apply").stdout
    assert evolve("status").exit_code == 0
    again = evolve("apply")
    assert again.exit_code == 0
    assert "nothing was changed" in again.stdout
    assert evolve("plan").exit_code == 0


def test_an_unreachable_version_is_refused(target: Target, evolve: Evolve) -> None:
    create(target)
    for command in ("plan", "apply"):
        back = evolve(command, "--to", "1")
        assert back.exit_code == 5
        assert "write a new migration that undoes the step" in back.stderr
        assert "Nothing was changed" in back.stderr
    assert evolve("plan", "--to", "99").exit_code == 5
    assert evolve("apply", "--to", "0").exit_code == 2


def test_drift_and_a_table_that_is_ahead_are_reported(target: Target, evolve: Evolve) -> None:
    create(target)
    catalog = target.catalog()
    loaded = catalog.load_table(target.settings.table_identifier)
    with loaded.update_schema() as update:
        update.add_column("somebody_elses", StringType())
    drifted = evolve("status")
    assert drifted.exit_code == 4
    assert "somebody_elses" in drifted.stdout
    assert "writes it as null" in drifted.stdout
    drift = json.loads(evolve("status", "--json").stdout)["drift"]
    assert {key: len(values) for key, values in drift.items()} == {
        "unknown_columns": 1,
        "missing_columns": 0,
        "different_columns": 0,
        "other": 0,
        "properties": 0,
    }
    with catalog.load_table(target.settings.table_identifier).transaction() as transaction:
        transaction.set_properties({"carousel.schema-version": str(NEWEST + 1)})
    ahead = evolve("status", "--json")
    assert ahead.exit_code == 4
    assert json.loads(ahead.stdout)["state"] == "ahead"
    assert evolve("apply").exit_code == 0
    assert evolve("plan").exit_code == 0
