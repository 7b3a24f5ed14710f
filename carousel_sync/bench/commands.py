"""``carousel-sync bench``: the command."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as TextTable

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import Target
from carousel_sync.bench import load, payloads
from carousel_sync.bench.figures import Figures, Outcome, Setup, latencies
from carousel_sync.bench.load import Course
from carousel_sync.bench.report import html
from carousel_sync.command_line.console import (
    EXIT_FAILED,
    JsonOption,
    interrupted_by_signals,
    print_json,
    progress_bar,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.consistency.presentation import verify_with_progress
from carousel_sync.events.generate import Recipe
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.planning.bill import Bill, Workload, bill
from carousel_sync.planning.bytes_per_sale import measure
from carousel_sync.planning.durations import lambda_milliseconds
from carousel_sync.planning.prices import LIST_PRICES, LOOKED_UP, REGION
from lambda_fn.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="Load on the function, and what it takes.")

SEEDS: Final = 2**31
MEMORY_MB: Final = 512
A_MILLION: Final = 1_000_000
EXIT_INTERRUPTED: Final = 130


@app.callback()
def bench() -> None:
    """Load on the function, and what it takes."""


@app.command()
def local(
    events: Annotated[int, typer.Option("--events", min=1, help="Number of events, duplicates included.")] = 20_000,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Handlers at work at the same time.")] = 4,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", min=1, max=10_000, help="Events in a batch; 6 MB may end it sooner."),
    ] = 500,
    embedding: Annotated[int, typer.Option("--embedding", help="Values in each embedding; 0 for none.")] = 1024,
    duplicates: Annotated[float, typer.Option("--duplicates", help="Share of events that repeat a sale.")] = 0.0,
    seed: Annotated[int | None, typer.Option("--seed", help="Makes the sales reproducible. Default: random.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the distribution of the latencies to this file, as HTML.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Drive batches through handlers in parallel, against an embedded stack of its own, and verify every sale.

    Each handler is a process of its own, wired from the deployed function's environment, as in Lambda. Exit code 0 only
    when each sale has exactly one row and one look-up item in the end.
    """
    setup = Setup(
        events, concurrency, batch_size, embedding, duplicates, secrets.randbelow(SEEDS) if seed is None else seed
    )
    with readable_errors():
        recipe_of(setup)  # What can't be generated is said before anything is started.
    folder = Path(tempfile.mkdtemp(prefix="carousel-bench-"))
    with readable_errors(), interrupted_by_signals():
        try:
            with LocalStack(folder) as stack:
                with working_on("Starting the emulator and deploying template.yaml"):
                    stack.up()
                figures = measured(setup, stack.target(), folder)
        except KeyboardInterrupt:
            shutil.rmtree(folder, ignore_errors=True)
            stderr.print("Interrupted. The handlers and the stack are stopped; nothing was measured.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BaseException:
            stderr.print(f"The handlers and the stack are stopped; its log is left in {folder}.", soft_wrap=True)
            raise
    cost = cost_of_a_million(figures)
    facts = _facts(figures, cost)
    if as_json:
        print_json({**figures.as_json(), "usd_per_million_sales": cost.as_json()})
    else:
        _show(figures, facts)
    if report is not None:
        with readable_errors():
            _write(report, html(figures, facts))
    if not figures.outcome.exactly_once:
        stderr.print(f"The emulator's log is left in {folder}.", soft_wrap=True)
        raise typer.Exit(EXIT_FAILED)
    shutil.rmtree(folder, ignore_errors=True)


def measured(setup: Setup, target: Target, folder: Path) -> Figures:
    """Prepare the batches in the folder, deliver them, and look at what is stored. The stack may hold other sales.

    Raises ConfigurationError, StoreUnavailable and TableMissing; whatever was stored until then stays.
    """
    recipe = recipe_of(setup)
    with progress_bar() as progress:
        task = progress.add_task("Preparing events", total=setup.events)
        prepared = payloads.prepare(
            recipe, setup.batch_size, _queue_arn(target), folder, lambda number: progress.advance(task, number)
        )
    before = target.load_table()
    with _live() as progress:
        task = progress.add_task("Delivering", total=setup.events, state="")
        course = load.run(
            prepared.payloads, setup.concurrency, target.environment, lambda so_far: _look(progress, task, so_far)
        )
    after = target.load_table()
    return Figures(setup, course, outcome_of(target, prepared.sales, before, after))


def recipe_of(setup: Setup) -> Recipe:
    """Return what is to be generated. Raises ConfigurationError for shares or sizes that make no sense."""
    return Recipe(
        setup.events,
        setup.seed,
        datetime.now(UTC).date(),
        duplicates=setup.duplicates,
        invalid=0.0,
        embedding=setup.embedding,
    )


def outcome_of(target: Target, names: frozenset[str], before: Table, after: Table) -> Outcome:
    """Look at what is stored of the sales, and at what has been added to the table."""
    commits = _appends(after) - _appends(before)
    return Outcome(
        names=names,
        report=verify_with_progress(target, only=names),
        commits=commits,
        data_files=_data_files(after) - _data_files(before),
        snapshot_bytes=(_metadata_bytes(after) - _metadata_bytes(before)) / max(1, commits),
    )


def cost_of_a_million(figures: Figures) -> Bill:
    """Return the bill of a month with a million such sales, as the first one that is stored."""
    cpu = figures.cpu_milliseconds_per_batch
    workload = Workload(
        events=A_MILLION,
        sizes=measure(figures.setup.embedding),
        sales_per_commit=figures.sales_per_commit,
        lambda_milliseconds=lambda_milliseconds(cpu, MEMORY_MB),
        memory_mb=MEMORY_MB,
        log_bytes_per_batch=figures.log_bytes_per_batch,
        partitions_per_commit=figures.outcome.data_files / max(1, figures.outcome.commits),
    )
    return bill(workload, LIST_PRICES)


def _appends(table: Table) -> int:
    """Count the snapshots that added sales: a merge of manifests adds none."""
    summaries = [snapshot.summary for snapshot in table.snapshots()]
    return sum(1 for summary in summaries if summary and summary.operation is Operation.APPEND)


def _data_files(table: Table) -> int:
    head = table.current_snapshot()
    return int((head.summary["total-data-files"] if head and head.summary else None) or 0)


def _metadata_bytes(table: Table) -> int:
    with table.io.new_input(table.metadata_location).open() as stream:
        return len(stream.read())


def _queue_arn(target: Target) -> str:
    url = buffer_queue.buffer_queue_url(target)
    answer = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def _live() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=stderr)


def _look(progress: Progress, task: TaskID, course: Course) -> None:
    middle = latencies(sorted(one.seconds for one in course.invocations))["p50"]
    conflicts = sum(one.conflicts for one in course.invocations)
    state = (
        f"{course.settled / course.seconds:,.0f}/s, p50 {middle:,.1f} s, {conflicts} conflicts, "
        f"{course.given_back:,} back"
    )
    progress.update(task, completed=course.settled, state=state)


def _facts(figures: Figures, cost: Bill) -> dict[str, str]:
    """Return everything that is told to people, as names and values."""
    course, outcome, setup = figures.course, figures.outcome, figures.setup
    times = {f"Batch, {name}": f"{1000 * value:,.0f} ms" for name, value in latencies(figures.seconds).items()}
    requests = figures.requests
    return {
        "Events": f"{setup.events:,} in batches of up to {setup.batch_size:,}, {setup.concurrency} handlers",
        "Sales": f"{outcome.sales:,}, with embeddings of {setup.embedding:,} numbers",
        "Throughput": f"{figures.events_per_second:,.0f} events/s over {course.seconds:.1f} s",
        **times,
        "CPU of a batch": f"{figures.cpu_milliseconds_per_batch:,.0f} ms",
        "Commits": f"{outcome.commits:,}, {figures.sales_per_commit:,.0f} sales each",
        "Commit conflicts": f"{figures.conflicts:,}",
        "Given back": f"{course.given_back:,} messages; {course.abandoned:,} for good",
        "Requests": f"{sum(requests.values()):,}",
        **{f"  {name}": f"{number:,}" for name, number in requests.items()},
        "metadata.json": f"{outcome.snapshot_bytes:,.0f} bytes for each retained snapshot",
        "A million sales": f"${cost.usd:,.2f} in the first month, {cost.share('DynamoDB'):.0%} of it DynamoDB",
        "Seed": str(setup.seed),
        "Verified": "each sale has one row and one item" if outcome.exactly_once else "NOT exactly once",
    }


def _show(figures: Figures, facts: dict[str, str]) -> None:
    table = TextTable(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in facts.items():
        table.add_row(name, value, style="dim" if name.startswith(" ") else None)
    stdout.print(table, highlight=False)
    stdout.print(
        "Times are those of this machine and its emulator, not of AWS. The cost is an estimate at list prices "
        f"({REGION}, looked up on {LOOKED_UP}); carousel-sync cost shows its lines.",
        style="dim",
        highlight=False,
    )
    for error in figures.errors:
        stdout.print(f"[bold red]A handler raised:[/] {error}", highlight=False, soft_wrap=True)
    _judge(figures.outcome)


def _judge(outcome: Outcome) -> None:
    report = outcome.report
    if outcome.exactly_once:
        stdout.print(f"[bold green]Exactly once:[/] {outcome.sales:,} sales, rows and look-up items.", highlight=False)
        return
    stdout.print(
        f"[bold red]Not exactly once:[/] {outcome.sales:,} sales, {report.rows:,} rows, {report.items:,} items, "
        f"{len(report.doubled_rows):,} doubled, {len(report.missing_items):,} without item, "
        f"{len(report.divergent):,} divergent, {len(report.open_claims):,} claims open.",
        highlight=False,
    )


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}. The run is complete, and its figures are above."
        ) from error
