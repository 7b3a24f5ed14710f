"""``carousel-sync evolve``: shows, plans and applies changes of the Iceberg table, which the template does not own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Final

import typer

from carousel_sync.aws.target import Target
from carousel_sync.command_line import console
from carousel_sync.command_line.console import DEFAULT_STAGE, JsonOption, LocalOption, StageOption
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.text import emphasised
from carousel_sync.table.apply import apply_to
from carousel_sync.table.plan import pending_steps, show_plan, step_as_json
from carousel_sync.table.status import State, TableStatus, find_table, status_of
from catalog_config.drift import describe
from catalog_config.provision import ProvisionResult
from lambda_fn.errors import ConfigurationError
from schemas.evolution.errors import MigrationError, OperationRefused
from schemas.evolution.migration import Step

EXIT_PENDING: Final = 3
EXIT_AHEAD_OR_DRIFTED: Final = 4
EXIT_REFUSED: Final = 5

EXIT_CODES: Final = {State.UP_TO_DATE: 0, State.BEHIND: EXIT_PENDING, State.MISSING: EXIT_PENDING}
app = typer.Typer(no_args_is_help=True, help="Create the Iceberg table, and bring its schema up to date.")
ToOption = Annotated[int | None, typer.Option("--to", min=1, max=9999, help="Version to go to. Default: the newest.")]


@app.command()
def status(stage: StageOption = DEFAULT_STAGE, local: LocalOption = False, as_json: JsonOption = False) -> None:
    """Show the table's version, this code's version, and where the table differs from what its version says.

    Exit code 0: up to date; 3: the table is missing or behind (run evolve apply); 4: it is ahead or differs.
    """
    with _evolving():
        target = resolve(stage, local)
        with console.working_on(f"Reading the Iceberg table at {target}"):
            found = status_of(find_table(target))
            name = ".".join(target.settings.table_identifier)
    if as_json:
        console.print_json({"table": name, **found.as_json()})
    else:
        _print(f"{name}: {_summary(found, target)}")
        for difference in found.drift:
            _print(f"  {describe(difference)}")
    raise typer.Exit(EXIT_CODES.get(found.state, EXIT_AHEAD_OR_DRIFTED))


@app.command()
def plan(
    to: ToOption = None,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what apply would do: each operation, its effect on readers, and its Iceberg updates. Changes nothing.

    Exit code 0: nothing to do; 3: operations are pending; 5: an operation is refused.
    """
    with _evolving():
        target = resolve(stage, local)
        with console.working_on(f"Reading the Iceberg table at {target}"):
            steps = pending_steps(target, to)
    if as_json:
        console.print_json({"steps": [step_as_json(step) for step in steps]})
    else:
        show_plan(steps)
    raise typer.Exit(EXIT_PENDING if steps else 0)


@app.command()
def apply(
    to: ToOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, as plan does.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Create the namespace and the table if they are missing, and bring the table to the newest version.

    Safe to repeat, to interrupt, for two people at once, and while sales are being processed. Never touches data.
    Exit code 0: the table is at that version; 1: failed, run it again; 5: an operation is refused, nothing was changed.
    """
    if dry_run:
        plan(to, stage, local, as_json)

    def show(step: Step) -> None:
        if not as_json:
            _print(f"Version {step.migration.number}: {step.description}")

    with _evolving():
        target = resolve(stage, local)
        with console.working_on(f"Bringing the Iceberg table at {target} up to date"):
            result = apply_to(target, to, show)
    if as_json:
        console.print_json({**asdict(result), "changed": result.changed})
    else:
        _show_result(result)


@contextmanager
def _evolving() -> Iterator[None]:
    """Print a refused operation or an invalid migration without a traceback, and exit."""
    with console.readable_errors():
        try:
            yield
        except MigrationError as error:
            raise ConfigurationError(f"{error}. Nothing was changed.") from error
        except OperationRefused as error:
            console.stderr.print(emphasised("Refused:", f" {error} Nothing was changed.", "bold red"), soft_wrap=True)
            raise SystemExit(EXIT_REFUSED) from error


def _summary(found: TableStatus, target: Target) -> str:
    apply_command = f"carousel-sync evolve apply {target.flags}"
    if found.position is None:
        return f"the table does not exist. Create it: {apply_command}"
    versions = f"version {found.position.version}, this code knows {found.code_version}"
    done = f" ({found.position.step} operations of the next version are done)" if found.position.step else ""
    return {
        State.BEHIND: f"{versions}{done}. Bring it up to date: {apply_command}",
        State.AHEAD: f"{versions}. Columns that this code does not know are written as null.",
        State.DRIFTED: f"{versions}, and the table differs from its version:",
    }.get(found.state, f"{versions}: up to date")


def _show_result(result: ProvisionResult) -> None:
    if result.namespace_created:
        _print(f"Created the namespace of {result.table}")
    if result.table_created:
        _print(f"Created the table {result.table} at {result.location}")
    if result.properties_set:
        _print(f"Set {len(result.properties_set)} table properties")
    if not result.changed:
        _print(f"The table {result.table} is up to date; nothing was changed")
    _print(f"The table is at version {result.version}")


def _print(line: str, style: str | None = None) -> None:
    console.stdout.print(line, soft_wrap=True, style=style)
