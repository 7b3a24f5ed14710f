"""``carousel-sync bench``: the command."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from carousel_sync.aws.target import Target
from carousel_sync.bench import limits, page
from carousel_sync.bench.figures import Figures, Outcome, Setup, latencies
from carousel_sync.bench.load import Tally
from carousel_sync.bench.local_run import run_benchmark
from carousel_sync.command_line import console
from carousel_sync.command_line.console import stderr, stdout
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.command_line.text import PlainColumn, emphasised
from carousel_sync.local_stack.stack import DeliveryMode, LocalStack
from carousel_sync.planning.prices import LOOKED_UP, REGION
from lambda_fn.errors import ConfigurationError
from lambda_fn.event import EMBEDDING_LIMIT

app = typer.Typer(no_args_is_help=True)

SEEDS: Final = 2**31


@app.callback()
def bench() -> None:
    """Run a load through the function and measure it."""


@app.command()
def local(
    mode: Annotated[
        DeliveryMode, typer.Option(help="queue: batches, as from the queue. direct: each event by itself.")
    ] = DeliveryMode.QUEUE,
    events: Annotated[int, typer.Option(min=1, help="Number of events, including duplicates.")] = 20_000,
    concurrency: Annotated[int, typer.Option(min=1, help="Number of handlers in parallel.")] = 4,
    batch_size: Annotated[
        int,
        typer.Option(min=1, max=10_000, help="Events per batch in queue mode; a batch is smaller if 6 MB are full."),
    ] = 500,
    embedding: Annotated[
        int, typer.Option(min=0, max=EMBEDDING_LIMIT, help="Values per embedding; 0 for no embedding.")
    ] = 1024,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of events that repeat a sale.")] = 0.0,
    seed: Annotated[
        int | None, typer.Option(min=0, max=SEEDS, help="Makes the sales reproducible. Default: random.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the figures and a latency chart to this HTML file.")
    ] = None,
    as_json: console.JsonOption = False,
) -> None:
    """Send batches or events through parallel handlers on a separate embedded stack, and verify every sale.

    Each handler is its own process with the environment of the deployed function, as in Lambda. The exit code is 0
    only if each sale has exactly one row and one look-up item in the end.
    """
    seed = secrets.randbelow(SEEDS) if seed is None else seed
    size = 1 if mode is DeliveryMode.DIRECT else batch_size
    setup = Setup(events, concurrency, size, embedding, duplicates, seed, mode)
    with console.readable_errors():
        # Report what is impossible before anything is started.
        limits.check(setup, report)
        setup.recipe()
    folder = Path(tempfile.mkdtemp(prefix="carousel-bench-"))
    stopped = f"The handlers and the stack were stopped. The emulator's log is in {folder}."
    with (
        console.readable_errors(),
        console.interrupted_by_signals(),
        console.reporting(lambda: stopped),
        LocalStack(folder) as stack,
    ):
        with console.working_on("Starting the emulator and deploying template.yaml"):
            stack.up(mode)
        figures = _run(setup, stack.target(), folder)
    if as_json:
        console.print_json(figures.as_json())
    else:
        _show(figures)
    if report is not None:
        _write_page(report, figures)
    if not figures.outcome.exactly_once:
        stderr.print(f"The emulator's log is in {folder}.", soft_wrap=True)
        raise typer.Exit(console.EXIT_FAILED)
    shutil.rmtree(folder, ignore_errors=True)


def _run(setup: Setup, target: Target, folder: Path) -> Figures:
    texts = PlainColumn("{task.description}"), TextColumn("{task.fields[state]}", markup=False)
    columns = (texts[0], BarColumn(bar_width=10), MofNCompleteColumn(), texts[1], TimeElapsedColumn())
    with Progress(*columns, console=stderr) as progress:
        preparing = progress.add_task("Preparing events", total=setup.events, state="")
        delivering = progress.add_task("Delivering", total=setup.events, state="", visible=False)

        def show_answer(tally: Tally) -> None:
            progress.update(delivering, completed=tally.settled, state=_state(tally), visible=True)

        return run_benchmark(setup, target, folder, lambda events: progress.advance(preparing, events), show_answer)


def _state(tally: Tally) -> str:
    """Return the deliveries so far in one line."""
    median = latencies(sorted(invocation.seconds for invocation in tally.invocations))["p50"]
    conflicts = sum(invocation.conflicts for invocation in tally.invocations)
    rate = f"{tally.settled / tally.seconds:,.0f}/s"
    return f"{rate}, p50 {median:,.1f} s, {conflicts} conflicts, {tally.given_back:,} given back"


def _show(figures: Figures) -> None:
    show_table((Column(""), Column("", Kind.PROSE)), [*figures.facts().items()], stdout)
    cost = (
        f" The cost is an estimate at list prices ({REGION}, looked up on {LOOKED_UP}); carousel-sync cost shows each "
        "line of it."
    )
    where = "Times are those of this machine and its emulator, not of AWS."
    stdout.print(where if figures.setup.is_direct else where + cost, style="dim")
    for error in figures.errors:
        stdout.print(emphasised("A handler raised:", f" {error}", "bold red"), soft_wrap=True)
    stdout.print(_verdict(figures.outcome))


def _verdict(outcome: Outcome) -> Text:
    report = outcome.report
    if outcome.exactly_once:
        return emphasised("Exactly once:", f" {outcome.sales:,} sales, rows and look-up items.", "bold green")
    found = (
        f" {outcome.sales:,} sales, {report.rows:,} rows, {report.items:,} items, "
        f"{len(report.doubled_rows):,} duplicated, {len(report.missing_items):,} without item, "
        f"{len(report.divergent):,} divergent, {len(report.open_claims):,} claims open."
    )
    return emphasised("Not exactly once:", found, "bold red")


def _write_page(path: Path, figures: Figures) -> None:
    with console.readable_errors():
        try:
            path.write_text(page.html(figures, figures.facts()), encoding="utf-8")
        except OSError as error:
            complete = "The run is complete and its figures are above."
            raise ConfigurationError(f"Cannot write {path}: {error.strerror}. {complete}") from error
