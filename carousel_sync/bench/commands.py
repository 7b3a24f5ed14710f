"""``carousel-sync bench``: the command."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from carousel_sync.aws.target import Target
from carousel_sync.bench import limits
from carousel_sync.bench.figures import Figures, Setup
from carousel_sync.bench.load import Tally
from carousel_sync.bench.local_run import recipe_of, run_benchmark
from carousel_sync.bench.page import html
from carousel_sync.bench.summary import cost_of_a_million, facts, state, verdict
from carousel_sync.command_line.console import (
    EXIT_FAILED,
    JsonOption,
    interrupted_by_signals,
    print_json,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.planning.prices import LOOKED_UP, REGION
from lambda_fn.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="Run a load through the function and measure it.")

SEEDS: Final = 2**31
EXIT_INTERRUPTED: Final = 130


@app.callback()
def bench() -> None:
    """Run a load through the function and measure it."""


@app.command()
def local(
    events: Annotated[int, typer.Option("--events", min=1, help="Number of events, including duplicates.")] = 20_000,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Number of handlers in parallel.")] = 4,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", min=1, max=10_000, help="Events per batch; a batch is smaller if 6 MB are full."),
    ] = 500,
    embedding: Annotated[int, typer.Option("--embedding", help="Values per embedding; 0 for no embedding.")] = 1024,
    duplicates: Annotated[float, typer.Option("--duplicates", help="Share of events that repeat a sale.")] = 0.0,
    seed: Annotated[int | None, typer.Option("--seed", help="Makes the sales reproducible. Default: random.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the figures and a latency chart to this HTML file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send batches through parallel handlers on a separate embedded stack, and verify every sale.

    Each handler is its own process with the environment of the deployed function, as in Lambda. The exit code is 0
    only if each sale has exactly one row and one look-up item in the end.
    """
    setup = Setup(
        events, concurrency, batch_size, embedding, duplicates, secrets.randbelow(SEEDS) if seed is None else seed
    )
    with readable_errors():
        # Report what is impossible before anything is started.
        limits.check(setup, report)
        recipe_of(setup)
    folder = Path(tempfile.mkdtemp(prefix="carousel-bench-"))
    with readable_errors(), interrupted_by_signals():
        try:
            with LocalStack(folder) as stack:
                with working_on("Starting the emulator and deploying template.yaml"):
                    stack.up()
                figures = _run(setup, stack.target(), folder)
        except KeyboardInterrupt:
            shutil.rmtree(folder, ignore_errors=True)
            stderr.print("Interrupted. The handlers and the stack were stopped; nothing was measured.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BaseException:
            stderr.print(f"The handlers and the stack were stopped. The emulator's log is in {folder}.", soft_wrap=True)
            raise
    cost = cost_of_a_million(figures)
    shown = facts(figures, cost)
    if as_json:
        print_json({**figures.as_json(), "usd_per_million_sales": cost.as_json()})
    else:
        _show(figures, shown)
    if report is not None:
        with readable_errors():
            _write_page(report, figures, shown)
    if not figures.outcome.exactly_once:
        stderr.print(f"The emulator's log is in {folder}.", soft_wrap=True)
        raise typer.Exit(EXIT_FAILED)
    shutil.rmtree(folder, ignore_errors=True)


def _run(setup: Setup, target: Target, folder: Path) -> Figures:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr) as progress:
        preparing = progress.add_task("Preparing events", total=setup.events, state="")
        delivering = progress.add_task("Delivering", total=setup.events, state="", visible=False)

        def show_answer(tally: Tally) -> None:
            progress.update(delivering, completed=tally.settled, state=state(tally), visible=True)

        return run_benchmark(setup, target, folder, lambda events: progress.advance(preparing, events), show_answer)


def _show(figures: Figures, shown: dict[str, str]) -> None:
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in shown.items():
        table.add_row(name, value, style="dim" if name.startswith(" ") else None)
    stdout.print(table, highlight=False)
    stdout.print(
        "Times are those of this machine and its emulator, not of AWS. The cost is an estimate at list prices "
        f"({REGION}, looked up on {LOOKED_UP}); carousel-sync cost shows each line of it.",
        style="dim",
        highlight=False,
    )
    for error in figures.errors:
        stdout.print(f"[bold red]A handler raised:[/] {error}", highlight=False, soft_wrap=True)
    stdout.print(verdict(figures.outcome), highlight=False)


def _write_page(path: Path, figures: Figures, shown: dict[str, str]) -> None:
    try:
        path.write_text(html(figures, shown), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write {path}: {error.strerror}. The run is complete and its figures are above."
        ) from error
