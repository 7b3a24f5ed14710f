"""``carousel-sync``, the operator's command line.

A command's module is imported only when the command runs, so that ``--help`` and ``--version`` respond at once.
"""

from __future__ import annotations

import tomllib
from importlib import import_module, resources
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

COMMANDS: Final = tomllib.loads(resources.files(__package__).joinpath("commands.toml").read_text())
"""The commands in the order of ``--help``, each with the place of its code and its help line."""

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
