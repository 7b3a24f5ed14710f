"""``carousel-sync``, the operator's command line.

A command's module is imported only when the command runs, so that ``--help`` and ``--version`` respond at once.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

COMMANDS: Final = {
    "send": ("events.commands:send", "Put one event from a file on the event bus, and print its event id."),
    "simulate": ("events.commands:simulate", "Put generated sales on the event bus, and print how many were sent."),
    "query": ("explore.commands:query", "Run SQL over the current version of the Iceberg table."),
    "sales": (
        "explore.commands:sales",
        "Print sales from the projection: by tenant, by product, or by embedding shard.",
    ),
    "verify": (
        "consistency.commands:verify",
        "Compare the table's rows, the look-up items and the claims, sale by sale; exit code 0 only when they agree.",
    ),
    "backfill": (
        "backfill.commands:backfill",
        "Load sales of the past from files: events, their details, or rows of the table; each ends as exactly one row.",
    ),
    "doctor": (
        "doctor.commands:doctor",
        "Look a deployed stage over, and say for every fault what to do. Changes nothing.",
    ),
    "dedupe": ("consistency.commands:dedupe", "Leave one row of a sale that the Iceberg table has more than once."),
    "demo": ("demo.commands:demo", "Send sales through an embedded stack, and show what is stored."),
    "cost": (
        "planning.commands:cost",
        "Work out a month's bill at list prices, each with its source and date: estimates to be checked, no offer.",
    ),
    "size": (
        "planning.commands:size",
        "Choose batch size, window, concurrency and snapshot retention for a load; exit code 1 when none will do.",
    ),
    "deploy": (
        "deployment.commands:deploy",
        "Deploy a stage: show the change set, carry it out once it is confirmed, then create the Iceberg table.",
    ),
    "destroy": (
        "deployment.commands:destroy",
        "Delete the stack of a stage. Its data stays, except for the stores that are named.",
    ),
    "local": ("local_stack.commands:app", "Run the whole system on this machine, without an AWS account."),
    "evolve": ("table.commands:app", "Create the Iceberg table, and bring its schema up to date."),
    "dlq": ("dead_letters.commands:app", "List events that could not be processed, and send them back."),
    "bench": ("bench.commands:app", "Load on the function, and what it takes."),
}
"""Each command's function, or Typer application with subcommands, and the line that ``--help`` prints for it."""

MARKUP: Final = "markdown"
"""Typer wraps the paragraphs of a docstring only as Markdown."""


def load(name: str) -> Any:
    """Import a command and return it in the form that Typer runs."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"carousel_sync.{module}"), attribute)
    parent = typer.Typer(rich_markup_mode=MARKUP)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
    return get_group(parent).commands[name]


class _LazyGroup(TyperGroup):
    """Replaces the placeholder of a command with the command itself when it runs."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, arguments = super().resolve_command(ctx, args)
        return name, load(name) if name else None, arguments


app = typer.Typer(
    name="carousel-sync",
    cls=_LazyGroup,
    rich_markup_mode=MARKUP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Placeholders, which ``--help`` lists.
for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(lambda: None)


def _print_version(requested: bool) -> None:
    if not requested:
        return
    try:
        typer.echo(version("carousel-sync"))
    except PackageNotFoundError:
        typer.echo("unknown (this checkout is not installed)")
    raise typer.Exit


@app.callback()
def carousel_sync(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Send sales to the Iceberg table, and read, check, repair and operate what is stored.

    Commands work on AWS, on the embedded stack with --local, or on the endpoint in AWS_ENDPOINT_URL.
    """


def main() -> None:
    """Run the command line."""
    app()
