"""The operations that are pending for a target's Iceberg table, and how people and programs see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import stdout
from carousel_sync.command_line.text import emphasised
from carousel_sync.table.status import find_table
from schemas.evolution import apply as evolution
from schemas.evolution.migration import Step, initial_definition, load_migrations
from schemas.evolution.table_definition import definition_of


def steps_of_a_new_table() -> list[Step]:
    """Return the operations that bring a new table to the newest version. Raises MigrationError."""
    return evolution.plan(initial_definition(load_migrations()))


def pending_steps(target: Target, to: int | None = None) -> list[Step]:
    """Return the operations that bring the target's table, which may be missing, to a version (default: the newest).

    Raises OperationRefused and MigrationError, and what :meth:`Target.load_table` raises except TableMissing.
    """
    table = find_table(target)
    before = initial_definition(load_migrations()) if table is None else definition_of(table.metadata)
    return evolution.plan(before, to)


def show_plan(steps: Sequence[Step]) -> None:
    """Print the operations by version, each with its effect on readers and its Iceberg updates."""
    if not steps:
        stdout.print("Nothing to do.")
    shown = 0
    for step in steps:
        if step.migration.number != shown:
            shown = step.migration.number
            name = f", {step.migration.name}: {step.migration.why}"
            stdout.print(emphasised(f"Version {shown}", name), soft_wrap=True)
        stdout.print(f"  {step.description}", soft_wrap=True)
        stdout.print(f"    Readers: {step.operation.readers}", soft_wrap=True)
        for update in _updates(step):
            stdout.print(f"    {_one_line(update)}", style="dim", soft_wrap=True)


def step_as_json(step: Step) -> dict[str, Any]:
    """Return an operation for JSON."""
    return {
        "version": step.migration.number,
        "migration": step.migration.name,
        "why": step.migration.why,
        "words": step.description,
        "readers": step.operation.readers,
        "updates": _updates(step),
    }


def _updates(step: Step) -> list[dict[str, Any]]:
    return [json.loads(update.model_dump_json(by_alias=True)) for update in step.change.updates]


def _one_line(update: dict[str, Any]) -> str:
    """Return an update in one line, with only the id of a schema: the plan already describes what is new in it."""
    values = {name: value for name, value in update.items() if name not in ("action", "schema")}
    if "schema" in update:
        values["schema-id"] = update["schema"]["schema-id"]
    return f"{update['action']} {json.dumps(values)}"
