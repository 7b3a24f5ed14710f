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
from carousel_sync.deployment import artefact_bucket, change_set, data_protection, query_results, stored_data
from carousel_sync.deployment.change_set import ChangeSet
from carousel_sync.project import PROJECT_ROOT, TEMPLATE
from carousel_sync.table.apply import apply_to
from lambda_fn.errors import ConfigurationError

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
    """Deploy a stage: show the change set, execute it once it is confirmed, then create or update the Iceberg table.

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
        if not as_json:
            _show(planned)
        if planned.changes:
            _execute(target, planned, yes)
        with working_on("Checking the Iceberg table"):
            table = apply_to(target)
    if as_json:
        changes = [
            {"action": change.action, "logical_id": change.logical_id, "kind": change.type, "replaced": change.replaced}
            for change in planned.changes
        ]
        console.print_json({"stack": planned.stack, "changes": changes, "table_changed": table.changed})
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


def _execute(target: Target, planned: ChangeSet, yes: bool) -> None:
    try:
        data_protection.refuse_replacement(planned)
        console.confirm("To execute this change set, type yes", "yes", yes)
    except (ConfigurationError, typer.Exit):
        change_set.delete(target, planned)
        raise
    with working_on("Deploying"):
        change_set.execute(target, planned, stderr.print)


def _show(planned: ChangeSet) -> None:
    if not planned.changes:
        stdout.print(f"Stack {planned.stack} is up to date")
        return
    rows = [
        (change.action, change.logical_id, change.type, "yes" if change.replaced else "") for change in planned.changes
    ]
    show_table(("Action", "Resource", "Type", "Replaced"), rows, stdout, f"Change set of {planned.stack}")
