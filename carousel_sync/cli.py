"""``carousel-sync``, the operator's command line: every command of the project in one place."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from carousel_sync.backfill import commands as backfill
from carousel_sync.bench import commands as bench
from carousel_sync.consistency import commands as consistency
from carousel_sync.dead_letters import commands as dlq
from carousel_sync.demo import demo
from carousel_sync.deployment import commands as deployment
from carousel_sync.doctor.commands import doctor
from carousel_sync.events import send, simulate
from carousel_sync.explore import query, sales
from carousel_sync.local_stack import commands as local
from carousel_sync.planning import commands as planning
from carousel_sync.table import commands as table

app = typer.Typer(
    name="carousel-sync",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if not asked:
        return
    try:
        typer.echo(version("carousel-sync"))
    except PackageNotFoundError:
        typer.echo("unknown (run from a checkout that is not installed)")
    raise typer.Exit


@app.callback()
def carousel_sync(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Sales of the carousel in an Apache Iceberg table: send, look, check, repair.

    Commands talk to AWS, to the embedded stack with --local, or to what AWS_ENDPOINT_URL names.
    """


app.command()(send.send)
app.command()(simulate.simulate)
app.command()(query.query)
app.command()(sales.sales)
app.command()(consistency.verify)
app.command()(backfill.backfill)
app.command()(doctor)
app.command()(consistency.dedupe)
app.command()(demo.demo)
app.command()(planning.cost)
app.command()(planning.size)
app.command()(deployment.deploy)
app.command()(deployment.destroy)
app.add_typer(local.app, name="local")
app.add_typer(table.app, name="evolve")
app.add_typer(dlq.app, name="dlq")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line."""
    app()
