"""``carousel-sync deploy`` and ``carousel-sync destroy``: the stack of a stage, through CloudFormation.

They use CloudFormation directly instead of the SAM CLI, which would be another 340 MB to install: the artefact is built
by this project, and CloudFormation itself runs the SAM transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from carousel_sync.aws.target import STACK_NAME, Target
from carousel_sync.command_line import console
from carousel_sync.command_line.console import JsonOption, StageOption, readable_errors, stderr, stdout, working_on
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import show_table
from carousel_sync.command_line.text import emphasised
from carousel_sync.deployment import artefact_bucket, change_set, data_protection, query_results, stored_data
from carousel_sync.deployment.change_set import ChangeSet
from carousel_sync.project import PROJECT_ROOT, TEMPLATE
from carousel_sync.table.apply import apply_to
from carousel_sync.table.plan import pending_steps, show_plan, step_as_json, steps_of_a_new_table
from lambda_fn.errors import CarouselSyncError, ConfigurationError
from schemas.evolution.errors import MigrationError, OperationRefused
from schemas.evolution.migration import Step

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def deploy(
    stage: StageOption = console.DEFAULT_STAGE,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of template.yaml; may be repeated."),
    ] = None,
    artefact: Annotated[Path, typer.Option(help="The artefact, as built by make build.")] = PROJECT_ROOT
    / "build/artefact.zip",
    bucket: Annotated[
        str | None,
        typer.Option(help="Bucket of this account for the artefact and the template. By default, one is created."),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy a stage: show the change set and the pending migrations, and carry them out once they are confirmed.

    Parameters that are not given keep their values. Refuses a change that would replace a store of data, and a first
    deployment if stores of an earlier stack of the stage exist. Exit code 3 when the change set was declined.
    """
    with readable_errors():
        target = resolve(stage, local=False)
        parameters = {"Stage": stage, **_parameters(parameter or [])}
        data_protection.refuse_to_recreate_stores(target, parameters)
        with working_on(f"Creating a change set at {target}"):
            url = artefact_bucket.upload(target, TEMPLATE, artefact, bucket)
            planned = change_set.create(target, url, TEMPLATE.read_text(), parameters)
            steps = _pending(target, planned)
        if not as_json:
            _show(planned)
            _show_migrations(steps)
        _execute(target, planned, steps, yes)
        with working_on("Checking the Iceberg table"):
            table = apply_to(target)
    if as_json:
        changes = [
            {"action": change.action, "logical_id": change.logical_id, "kind": change.type, "replaced": change.replaced}
            for change in planned.changes
        ]
        migrations = [step_as_json(step) for step in steps or ()]
        document = {"stack": planned.stack, "changes": changes, "migrations": migrations}
        console.print_json({**document, "table_changed": table.changed})
        return
    stdout.print(f"Table {table.table}: {'brought up to date' if table.changed else 'up to date'}")
    stdout.print(f"Stage {stage} is deployed. To check it: carousel-sync doctor --stage {stage}")


def destroy(
    stage: StageOption = console.DEFAULT_STAGE,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME", help="Also delete this store and everything in it; may be repeated."),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the stack of a stage. Its data is kept, except for the stores named with --data.

    Exit code 3 when the deletion was declined.
    """
    with readable_errors():
        target = resolve(stage, local=False)
        stack = STACK_NAME.format(stage=stage)
        stores = stored_data.of_stage(target)
        unknown = sorted(set(data or []) - {store.name for store in stores})
        if unknown:
            raise ConfigurationError(
                f"Stage {stage!r} has no store named {', '.join(unknown)}. Nothing was deleted. Its stores: "
                f"{stored_data.names_of(stores)}"
            )
        deleted = [store for store in stores if not {store.name, store.within}.isdisjoint(data or [])]
        kept = [store for store in stores if store not in deleted]
        data_protection.refuse_to_lose_key(deleted, kept)
        if not as_json:
            stdout.print(f"To be deleted: stack {stack} at {target} (rule, function, role, log, alarms, dashboard)")
            stdout.print(f"To be deleted for good, with all data: {stored_data.names_of(deleted)}")
            stdout.print(f"To be kept: {stored_data.names_of(kept)}")
        console.confirm(f"To delete this, type the name of the stage ({stage})", stage, yes)
        if change_set.stack_status(target) is not None:
            with working_on(f"Deleting stack {stack}"):
                query_results.delete_results(target)
                change_set.delete_stack(target)
        for store in deleted:
            with working_on(f"Deleting {store.name}"):
                store.delete()
    if as_json:
        console.print_json(
            {"stack": stack, "deleted": [store.name for store in deleted], "kept": [store.name for store in kept]}
        )
    else:
        stdout.print(f"Stack {stack} no longer exists. Kept: {stored_data.names_of(kept)}")


def _parameters(given: Sequence[str]) -> dict[str, str]:
    for text in given:
        if text.find("=") < 1:
            raise ConfigurationError(f"--parameter takes NAME=VALUE, not {text!r}. Nothing was changed.")
    return dict(text.split("=", 1) for text in given)


def _pending(target: Target, planned: ChangeSet) -> list[Step] | None:
    """Return the migrations that are pending; None if the table can't be read before the stack is as it should be.

    Raises ConfigurationError if they can't be applied. The change set is then deleted.
    """
    try:
        return steps_of_a_new_table() if planned.creates_stack else pending_steps(target)
    except (MigrationError, OperationRefused) as error:
        _discard(target, planned)
        raise ConfigurationError(f"{str(error).rstrip('.')}. Nothing was changed.") from error
    except CarouselSyncError:
        return None


def _execute(target: Target, planned: ChangeSet, steps: Sequence[Step] | None, yes: bool) -> None:
    """Ask for everything that is planned, and execute the change set. The migrations are applied afterwards."""
    parts = {"this change set": planned.changes, "these migrations": steps}
    asked = " and ".join(name for name, content in parts.items() if content)
    try:
        data_protection.refuse_replacement(planned)
        if asked:
            console.confirm(f"To carry out {asked}, type yes", "yes", yes)
    except (ConfigurationError, typer.Exit):
        _discard(target, planned)
        raise
    if not planned.changes:
        return
    with working_on("Deploying"):
        change_set.execute(target, planned, stderr.print)


def _discard(target: Target, planned: ChangeSet) -> None:
    if planned.changes:
        change_set.delete(target, planned)


def _show_migrations(steps: Sequence[Step] | None) -> None:
    if steps is None:
        stdout.print(
            "The Iceberg table can't be read yet. Migrations that are pending are applied after the deployment."
        )
    elif steps:
        stdout.print(emphasised("Migrations of the Iceberg table that are pending:"))
        show_plan(steps)
    else:
        stdout.print("No migration of the Iceberg table is pending.")


def _show(planned: ChangeSet) -> None:
    if not planned.changes:
        stdout.print(f"Stack {planned.stack} is up to date")
        return
    rows = [
        (change.action, change.logical_id, change.type, "yes" if change.replaced else "") for change in planned.changes
    ]
    show_table(("Action", "Resource", "Type", "Replaced"), rows, stdout, f"Change set of {planned.stack}")
