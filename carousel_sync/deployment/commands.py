"""``carousel-sync deploy`` and ``carousel-sync destroy``: the stack of a stage, through CloudFormation itself.

Plain CloudFormation and not the SAM command line: the artefact is built here already, change sets are its own, and no
second tool of 340 MB has to be installed. CloudFormation runs the SAM transform on its side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from carousel_sync.aws.target import STACK_NAME, Target
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    JsonOption,
    StageOption,
    print_json,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.command_line.stage import resolve
from carousel_sync.deployment import artefact_bucket, change_set, stored_data
from carousel_sync.deployment.change_set import ChangeSet
from carousel_sync.deployment.stored_data import Store
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.table.evolve import apply_to
from lambda_fn.errors import ConfigurationError

DATA_KINDS: Final = frozenset(
    {
        "AWS::DynamoDB::Table",
        "AWS::Events::Archive",
        "AWS::KMS::Key",
        "AWS::S3Tables::Namespace",
        "AWS::S3Tables::TableBucket",
        "AWS::SQS::Queue",
    }
)
"""The types of what template.yaml retains."""
EXIT_DECLINED: Final = 3

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def deploy(
    stage: StageOption = DEFAULT_STAGE,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", "-p", metavar="NAME=VALUE", help="A parameter of template.yaml; repeat it for more."
        ),
    ] = None,
    artefact: Annotated[Path, typer.Option(help="The artefact (make build).")] = PROJECT_ROOT / "build/artefact.zip",
    bucket: Annotated[
        str | None,
        typer.Option(help="Bucket for artefact and template. It has to be this account's. Left out: one is made."),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy a stage: show the change set, carry it out once it is confirmed, then create the Iceberg table.

    Left-out parameters keep their values. A change that would replace a store of data is refused, and a first
    deployment beside stores that an earlier stack of the stage left behind. Exit code 3 when the change set was
    declined.
    """
    with readable_errors():
        target = resolve(stage, local=False)
        template = PROJECT_ROOT / "template.yaml"
        parameters = {"Stage": stage, **_parameters(parameter or [])}
        _refuse_beside_kept_stores(target, parameters)
        with working_on(f"Making a change set at {target}"):
            url = artefact_bucket.upload(target, template, artefact, bucket)
            planned = change_set.make(target, url, template.read_text(), parameters)
        if not as_json:
            stdout.print(_as_table(planned) if planned.changes else f"Stack {planned.stack} is as the template has it")
        if planned.changes:
            _carry_out(target, planned, yes)
        with working_on("Looking at the Iceberg table"):
            table = apply_to(target)
    if as_json:
        changes = [asdict(change) for change in planned.changes]
        print_json({"stack": planned.stack, "changes": changes, "table_changed": table.changed})
        return
    stdout.print(f"Table {table.table}: {'brought up to date' if table.changed else 'up to date'}")
    stdout.print(f"Stage {stage} is deployed. Look it over: carousel-sync doctor --stage {stage}")


def destroy(
    stage: StageOption = DEFAULT_STAGE,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", metavar="NAME", help="Also delete this store with everything in it; repeat it for more."
        ),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the stack of a stage. Its data stays, except for the stores that are named.

    Exit code 3 when it was declined.
    """
    with readable_errors():
        target = resolve(stage, local=False)
        stack = STACK_NAME.format(stage=stage)
        stores = stored_data.of_stage(target)
        unknown = sorted(set(data or []) - {store.name for store in stores})
        if unknown:
            names = ", ".join(store.name for store in stores) or "none"
            raise ConfigurationError(
                f"Stage {stage!r} has no store named {', '.join(unknown)}. Nothing was deleted. Its stores: {names}"
            )
        doomed = [store for store in stores if not {store.name, store.within}.isdisjoint(data or [])]
        stays = [store.name for store in stores if store not in doomed]
        _refuse_to_lock_out(doomed, stores)
        if not as_json:
            stdout.print(f"Stack {stack} at {target} goes: rule, function, role, log, alarms, dashboard")
            stdout.print(f"Data that stays: {', '.join(stays) or 'none'}")
            stdout.print(f"Data that is deleted for good: {', '.join(store.name for store in doomed) or 'none'}")
        _confirm(f"Type the stage's name ({stage}) to go on", stage, yes)
        if change_set.stack_status(target, stack) is not None:
            with working_on(f"Deleting stack {stack}"):
                change_set.delete_stack(target, stack)
        for store in doomed:
            with working_on(f"Deleting {store.name}"):
                store.delete()
    if as_json:
        print_json({"stack": stack, "deleted": [store.name for store in doomed], "kept": stays})
    else:
        stdout.print(f"Stack {stack} is gone. Kept: {', '.join(stays) or 'nothing'}")


def _parameters(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    wrong = [name for name, equals, _ in pairs if not (name and equals)]
    if wrong:
        raise ConfigurationError(f"--parameter takes NAME=VALUE, not {wrong[0]!r}. Nothing was changed.")
    return {name: value for name, _, value in pairs}


def _refuse_beside_kept_stores(target: Target, parameters: Mapping[str, str]) -> None:
    """Raise ConfigurationError when a new stack would have to make stores that are there already.

    CloudFormation's own ImportExistingResources can't take them over: it wants names without functions, and the stage
    is part of every name (AWS CloudFormation User Guide, "Import AWS resources into a CloudFormation stack
    automatically").
    """
    stack = STACK_NAME.format(stage=target.stage)
    if not change_set.creates_stack(change_set.stack_status(target, stack)):
        return
    archives = parameters.get("ArchiveDays", "0") != "0"
    stores = [s for s in stored_data.named_stores(target) if archives or s.logical_id != stored_data.ARCHIVE]
    if not stores:
        return
    names = "".join(f"\n  {store.name}" for store in stores)
    data = " ".join(store.name for store in stores)
    raise ConfigurationError(
        f"There is no stack {stack}, but stores of stage {target.stage!r} are there already, and CloudFormation would "
        f"fail to make them again:{names}\nNothing was changed. Either import them into a new stack, as "
        'docs/deployment.md says under "A stage whose data stayed"; or deploy another stage; or delete them with '
        f'everything in them: make destroy STAGE={target.stage} DATA="{data}"'
    )


def _refuse_to_lock_out(doomed: Sequence[Store], stores: Sequence[Store]) -> None:
    keys = [store.name for store in doomed if store.logical_id == stored_data.KEY]
    kept = [store.name for store in stores if store not in doomed and store.logical_id != stored_data.KEY]
    if keys and kept:
        raise ConfigurationError(
            f"Without {', '.join(keys)}, what stays could not be read any more: {', '.join(kept)}. Nothing was "
            "deleted. Name these stores as well, or leave the key out."
        )


def _carry_out(target: Target, planned: ChangeSet, yes: bool) -> None:
    replaced = [change.logical_id for change in planned.changes if change.replaced and change.kind in DATA_KINDS]
    if replaced:
        change_set.discard(target, planned)
        raise ConfigurationError(
            f"The change set would replace {', '.join(replaced)}: the data would stay behind in the old one. Nothing "
            "was changed. What a store is made with can't be changed later (its name, its key): see docs/deployment.md."
        )
    try:
        _confirm("Carry this change set out? Type yes", "yes", yes)
    except typer.Exit:
        change_set.discard(target, planned)
        raise
    with working_on("Deploying"):
        change_set.carry_out(target, planned, lambda line: stderr.print(line, highlight=False))


def _confirm(question: str, expected: str, yes: bool) -> None:
    if yes or typer.prompt(question, err=True, default="", show_default=False) == expected:
        return
    stderr.print("Nothing was changed.")
    raise typer.Exit(EXIT_DECLINED)


def _as_table(planned: ChangeSet) -> Table:
    table = Table("Action", "Resource", "Type", "Replaced", title=f"Change set of {planned.stack}")
    for change in planned.changes:
        table.add_row(change.action, change.logical_id, change.kind, "yes" if change.replaced else "")
    return table
