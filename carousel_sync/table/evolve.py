"""``carousel-sync evolve``: the Iceberg table's schema, which the template does not own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from carousel_sync.aws.target import CATALOG_FAILURES, Target
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.command_line.stage import resolve
from carousel_sync.table.status import State, TableStatus, status_of
from catalog_config.maintenance import ensure_maintenance
from catalog_config.provision import ProvisionError, ProvisionResult, ensure_table
from lambda_fn.errors import ConfigurationError
from schemas.evolution.apply import plan as steps_to
from schemas.evolution.migration import MigrationsBroken, Step, creation, load_migrations
from schemas.evolution.refusal import Refused
from schemas.evolution.shape import new_table, shape_of

EXIT_PENDING: Final = 3
EXIT_AHEAD_OR_DRIFTED: Final = 4
EXIT_REFUSED: Final = 5

EXIT_CODES: Final = {State.UP_TO_DATE: 0, State.BEHIND: EXIT_PENDING, State.MISSING: EXIT_PENDING}

app = typer.Typer(no_args_is_help=True, help="Create the Iceberg table, and bring its schema up to date.")
ToOption = Annotated[int | None, typer.Option("--to", min=1, help="Version to go to. Default: the newest.")]


@app.callback()
def evolve() -> None:
    """Create the Iceberg table, and bring its schema up to date."""


@app.command()
def status(stage: StageOption = DEFAULT_STAGE, local: LocalOption = False, as_json: JsonOption = False) -> None:
    """Show the table's version, this code's version, and where the table differs from what its version says.

    Exit code 0: up to date; 3: the table is behind (evolve apply), or missing; 4: it is ahead, or differs.
    """
    with _evolving():
        target = resolve(stage, local)
        with working_on(f"Looking at the Iceberg table at {target}"):
            found = status_of(_table(target), len(load_migrations()))
    if as_json:
        print_json({"table": _name(target), **found.as_json()})
    else:
        _show_status(found, _name(target))
    raise typer.Exit(EXIT_CODES.get(found.state, EXIT_AHEAD_OR_DRIFTED))


@app.command()
def plan(
    to: ToOption = None,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what apply would do: each operation in words, for readers, and as the Iceberg updates. Changes nothing.

    Exit code 0: nothing to do; 3: there is; 5: an operation is refused.
    """
    with _evolving():
        target = resolve(stage, local)
        with working_on(f"Looking at the Iceberg table at {target}"):
            steps = _steps(_table(target), to)
    _show_plan(steps, as_json)
    raise typer.Exit(EXIT_PENDING if steps else 0)


@app.command()
def apply(
    to: ToOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, as plan does.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Create the namespace and the table where they are missing, and bring the table to the newest version.

    Safe to repeat, to interrupt, for two people at once, and while sales are being processed. It never touches data.
    Exit code 0: the table is at that version; 1: failed, run it again; 5: an operation is refused, nothing was changed.
    """
    if dry_run:
        plan(to, stage, local, as_json)
    with _evolving():
        target = resolve(stage, local)
        with working_on(f"Bringing the Iceberg table at {target} up to date"):
            result = apply_to(target, to, step_done=lambda step: _tell(step, as_json))
    if as_json:
        print_json({**asdict(result), "changed": result.changed})
    else:
        _describe(result)


def apply_to(
    target: Target, to: int | None = None, step_done: Callable[[Step], None] = lambda _: None
) -> ProvisionResult:
    """Create what is missing of the target's table, and bring it to a version (default: the newest of this code).

    Raises ConfigurationError when the table that is there does not fit, Refused when an operation is not safe for it,
    StoreUnavailable when the catalog can't be reached or refuses; what was made until then stays, and a repeat goes on
    from there.
    """
    settings = target.settings
    try:
        result = ensure_table(target.catalog(), settings.namespace, settings.table, to, step_done=step_done)
        ensure_maintenance(target.client("s3tables"), settings.catalog, settings.namespace, settings.table)
        return result
    except ProvisionError as error:
        raise ConfigurationError(str(error)) from error
    except CATALOG_FAILURES as error:
        raise target.catalog_unavailable(error) from error


@contextmanager
def _evolving() -> Iterator[None]:
    """Tell what was refused, or is wrong with the migrations, without a traceback."""
    with readable_errors():
        try:
            yield
        except MigrationsBroken as error:
            raise ConfigurationError(f"{error}. Nothing was changed.") from error
        except Refused as error:
            stderr.print("[bold red]Refused:[/]", end=" ")
            stderr.print(f"{error} Nothing was changed.", markup=False, highlight=False, soft_wrap=True)
            raise SystemExit(EXIT_REFUSED) from error


def _table(target: Target) -> Table | None:
    catalog = target.catalog()
    try:
        return catalog.load_table(target.settings.table_identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None
    except CATALOG_FAILURES as error:
        raise target.catalog_unavailable(error) from error


def _steps(table: Table | None, to: int | None) -> list[Step]:
    shape = new_table(*creation(load_migrations())) if table is None else shape_of(table.metadata)
    return steps_to(shape, to)


def _name(target: Target) -> str:
    return ".".join(target.settings.table_identifier)


# --- for people ------------------------------------------------------------------------------------------------------


def _show_status(found: TableStatus, name: str) -> None:
    stdout.print(f"{name}: {found.sentence}", highlight=False, soft_wrap=True)
    for text in found.differences:
        stdout.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)


def _show_plan(steps: list[Step], as_json: bool) -> None:
    if as_json:
        print_json({"steps": [_step_json(step) for step in steps]})
        return
    if not steps:
        stdout.print("Nothing to do.")
    shown = 0
    for step in steps:
        if step.migration.number != shown:
            shown = step.migration.number
            stdout.print(f"[bold]Version {shown}[/], {step.migration.name}: {step.migration.why}", highlight=False)
        stdout.print(f"  {step.words}", markup=False, highlight=False, soft_wrap=True)
        stdout.print(f"    Readers: {step.operation.readers}", markup=False, highlight=False, soft_wrap=True)
        for update in _updates_json(step):
            stdout.print(f"    {_brief(update)}", markup=False, highlight=False, soft_wrap=True, style="dim")


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "version": step.migration.number,
        "migration": step.migration.name,
        "why": step.migration.why,
        "words": step.words,
        "readers": step.operation.readers,
        "updates": _updates_json(step),
    }


def _updates_json(step: Step) -> list[dict[str, Any]]:
    return [json.loads(update.model_dump_json(by_alias=True)) for update in step.change.updates]


def _brief(update: dict[str, Any]) -> str:
    """Return an update in one line: of a schema only its id, because a plan names what is new in it."""
    told = {name: value for name, value in update.items() if name not in ("action", "schema")}
    if "schema" in update:
        told["schema-id"] = update["schema"]["schema-id"]
    return f"{update['action']} {json.dumps(told)}"


def _tell(step: Step, as_json: bool) -> None:
    if not as_json:
        stdout.print(f"Version {step.migration.number}: {step.words}", markup=False, highlight=False, soft_wrap=True)


def _describe(result: ProvisionResult) -> None:
    if result.namespace_created:
        stdout.print(f"Created the namespace of {result.table}")
    if result.table_created:
        stdout.print(f"Created the table {result.table} at {result.location}")
    if result.properties_set:
        stdout.print(f"Set {len(result.properties_set)} table properties")
    if not result.changed:
        stdout.print(f"The table {result.table} is up to date; nothing was changed")
    stdout.print(f"The table is at version {result.version}", highlight=False)
