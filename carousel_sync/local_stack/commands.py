"""``carousel-sync local``: start, inspect and stop the embedded stack."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carousel_sync.command_line import console
from carousel_sync.command_line.tables import show_table
from carousel_sync.local_stack.stack import DeliveryMode, LocalStack, StackStatus, UpOutcome
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE

app = typer.Typer(no_args_is_help=True, help="Run the whole system on this machine, without an AWS account.")

StateDirOption = Annotated[
    Path | None,
    typer.Option(envvar=STATE_DIR_VARIABLE, help="Folder of the stack's state and data. Each one has its own stack."),
]


@app.command()
def up(
    delivery_mode: Annotated[
        DeliveryMode | None,
        typer.Option(help="How events reach the function. Default: as deployed, or queue.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port. Default: 4566, or another free port if it is taken.", show_default=False
        ),
    ] = None,
    stage: console.StageOption = console.DEFAULT_STAGE,
    state_dir: StateDirOption = None,
    as_json: console.JsonOption = False,
) -> None:
    """Start the emulator, deploy template.yaml to it, and create the Iceberg table.

    Run it again after a change of the template or the code to deploy the change.
    """
    with console.readable_errors():
        stack = LocalStack(state_dir, stage)
        try:
            with console.interrupted_by_signals(), console.working_on("Starting the emulator, deploying template.yaml"):
                outcome = stack.up(delivery_mode, port)
        except KeyboardInterrupt:
            console.stderr.print("Interrupted. If this command started an emulator, it was stopped.")
            raise typer.Exit(console.EXIT_INTERRUPTED) from None
        status = stack.status()
    if as_json:
        console.print_json({"outcome": outcome.value, **asdict(status)})
        return
    messages = {
        UpOutcome.STARTED: "The embedded stack is running",
        UpOutcome.UPDATED: "The embedded stack is running; template and code were deployed again",
        UpOutcome.UNCHANGED: "The embedded stack is already running, and nothing has changed",
    }
    console.stdout.print(
        f"{messages[outcome]}: stage {status.stage}, {status.delivery_mode} delivery, {status.endpoint}"
    )


@app.command()
def down(state_dir: StateDirOption = None, as_json: console.JsonOption = False) -> None:
    """Stop the stack and delete its data. No process keeps running."""
    with console.readable_errors(), console.working_on("Stopping the embedded stack"):
        stopped = LocalStack(state_dir).down()
    if as_json:
        console.print_json({"stopped": stopped})
    else:
        console.stdout.print("The embedded stack is stopped." if stopped else "The embedded stack was not running.")


@app.command()
def status(state_dir: StateDirOption = None, as_json: console.JsonOption = False) -> None:
    """Show the endpoint, the queues and the table of the stack. Exit code 1 when it is not running."""
    with console.readable_errors():
        stack = LocalStack(state_dir)
        found = stack.status()
    if as_json:
        console.print_json(asdict(found))
    elif found.up:
        _show(found)
    else:
        console.stdout.print(f"The embedded stack is not running. Start it: {stack.start_command}", soft_wrap=True)
    if not found.up:
        raise typer.Exit(console.EXIT_FAILED)


@app.command()
def env(state_dir: StateDirOption = None, as_json: console.JsonOption = False) -> None:
    """Print the deployed function's environment as shell exports: eval "$(carousel-sync local env)".

    In this environment any Python process can call lambda_fn.handler.handler.
    """
    with console.readable_errors():
        environment = dict(sorted(LocalStack(state_dir).target().environment.items()))
    if as_json:
        console.print_json(environment)
        return
    for name, value in environment.items():
        escaped = value.replace("'", "'\"'\"'")
        typer.echo(f"export {name}='{escaped}'")


def _show(found: StackStatus) -> None:
    rows = {
        "Endpoint": found.endpoint,
        "Process": found.pid,
        "Stage": found.stage,
        "Delivery": found.delivery_mode,
        "CloudFormation": found.stack_status,
        "Queue, waiting": found.queue_waiting,
        "Queue, being processed": found.queue_in_flight,
        "Dead letters": found.dead_letters,
        f"Rows of {found.table}" if found.table else "Iceberg table": found.table_rows,
    }
    texts = [(name, "-" if value is None else str(value)) for name, value in rows.items()]
    show_table(("", "Embedded stack"), texts, console.stdout)
