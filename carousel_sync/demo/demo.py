"""``carousel-sync demo``: the whole way of a sale, in two minutes, on this machine alone."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import typer
from rich.syntax import Syntax
from rich.table import Table

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.event_bus import EventBus, bus_of
from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import (
    EXIT_FAILED,
    interrupted_by_signals,
    progress_bar,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.consistency.compare import Report
from carousel_sync.consistency.presentation import show_report, verify_with_progress
from carousel_sync.dead_letters.queue import looking_through
from carousel_sync.events import simulate
from carousel_sync.events.generate import Recipe
from carousel_sync.events.send import read_event
from carousel_sync.explore.duckdb_table import open_sales
from carousel_sync.explore.query import run, show
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.errors import ConfigurationError
from lambda_fn.event import parse_message
from lambda_fn.projection.item import projection_key
from lambda_fn.sale import Sale

EXAMPLE: Final = PROJECT_ROOT / "examples" / "carousel-sold-event.json"
TENANT: Final = "carousel-labs"
SIMULATED_EVENTS: Final = 200
SEED: Final = 20251230
DRAIN_SECONDS: Final = 150.0
EXIT_INTERRUPTED: Final = 130
LONGEST_TEXT: Final = 60


def demo() -> None:
    """Start the embedded stack, send sales through it, and show what became of them; then stop it.

    It has a stack of its own: one that is up already is left alone. Exit code 0 only when every sale that was sent is
    stored exactly once.
    """
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="carousel-demo-"))
    with readable_errors(), interrupted_by_signals():
        try:
            with LocalStack(folder) as stack:
                success = _run(stack)
        except KeyboardInterrupt:
            stderr.print(f"Interrupted. The stack is stopped; its log is left in {folder}.", soft_wrap=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BaseException:
            stderr.print(f"The stack is stopped; its log is left in {folder}.", soft_wrap=True)
            raise
    if not success:
        stderr.print(f"The stack is stopped; its log is left in {folder}.", soft_wrap=True)
        raise typer.Exit(EXIT_FAILED)
    shutil.rmtree(folder, ignore_errors=True)
    stdout.print(f"\nThe stack is stopped. All of this took {time.monotonic() - started:.0f} s.", style="dim")


@dataclass(frozen=True)
class _Expected:
    """What has to be there in the end."""

    example: Sale
    recipe: Recipe

    @property
    def events(self) -> int:
        return self.recipe.count + 1

    @property
    def sales(self) -> int:
        return self.recipe.sales + 1


def _run(stack: LocalStack) -> bool:
    _heading(1, "The stack", "An emulator of AWS on this machine, with template.yaml deployed by CloudFormation.")
    with working_on("Starting the stack"):
        stack.up()
    target = stack.target()
    stdout.print(f"Up at {target}: event bus, queue, function, DynamoDB tables and the Iceberg table in S3 Tables.")

    _heading(2, "Events", "The example event and generated ones, some repeated, some invalid, put on the event bus.")
    expected = _send(target)

    _heading(3, "Processing", "The function takes them off the queue in batches; each batch is one Iceberg commit.")
    drained = _wait(target, expected.events)

    _heading(4, "The Iceberg table, in SQL", "What an analyst asks in Athena, asked here with DuckDB.")
    _show_query(target, _last_full_month(expected.recipe.until))

    _heading(5, "The look-up copy", "The example's sale in DynamoDB, by its key.")
    _show_item(target, expected.example)

    _heading(6, "Dead letters", "Events that can't become a sale, as they came, each with its reason.")
    _show_dead_letters(target)

    _heading(7, "Verification", "The table, the look-up copy and the guard, compared sale by sale.")
    report = verify_with_progress(target)
    show_report(report, target)
    return _judge(report, expected, drained)


def _send(target: Target) -> _Expected:
    bus = EventBus(target.client("events"), bus_of(target))
    content = parse_message("example", EXAMPLE.read_text(encoding="utf-8"), "").content
    if not isinstance(content, Sale):
        raise ConfigurationError(f"{EXAMPLE} breaks the contract: {content.detail}. Nothing was sent.")
    today = datetime.now(UTC).date()
    recipe = Recipe(count=SIMULATED_EVENTS, seed=SEED, until=today, tenants=3, duplicates=0.1, invalid=0.05)
    bus.put([read_event(EXAMPLE)])
    sent = simulate.send_all(recipe, bus)
    stdout.print(
        f"Sent {EXAMPLE.relative_to(PROJECT_ROOT)} and {sent.events} more: [bold]{sent.sales} distinct sales[/], "
        f"{sent.duplicates} duplicates of them, {sent.invalid} invalid events.",
        highlight=False,
    )
    return _Expected(content, recipe)


def _wait(target: Target, events: int) -> bool:
    url = buffer_queue.buffer_queue_url(target)
    begun = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task("Processing events", total=events)

        def looked(found: buffer_queue.QueueDepth) -> None:
            progress.update(task, completed=max(0, events - found.waiting - found.in_flight))

        drained = buffer_queue.wait_until_empty(target, url, DRAIN_SECONDS, looked)
    if drained:
        snapshots = len(target.load_table().snapshots())
        seconds = time.monotonic() - begun
        stdout.print(
            f"The queue ran empty after {seconds:.0f} s; the table has {snapshots} snapshots.", highlight=False
        )
    else:
        left = buffer_queue.depth(target, url)
        stdout.print(
            f"[bold red]After {DRAIN_SECONDS:.0f} s the queue is not empty:[/] {left.waiting} events wait, "
            f"{left.in_flight} are being processed or will be delivered again.",
            highlight=False,
        )
    return drained


def _show_query(target: Target, month: date) -> None:
    sql = (
        "SELECT category, brand, AVG(sold_price) AS avg_price, COUNT(*) AS sale_count\n"
        "FROM sales_history\n"
        f"WHERE tenant_id = '{TENANT}' AND year = {month.year} AND month = {month.month}\n"
        "GROUP BY category, brand\n"
        "ORDER BY avg_price DESC"
    )
    stdout.print(Syntax(sql, "sql", theme="ansi_dark", background_color="default"))
    with open_sales(target) as connection:
        show(run(connection, sql), stdout)


def _show_item(target: Target, sale: Sale) -> None:
    partition, sort = projection_key(sale)
    key = {"PK": {"S": partition}, "SK": {"S": sort}}
    answer: dict[str, Any] = target.client("dynamodb").get_item(
        TableName=target.settings.projection_table, Key=key, ConsistentRead=True
    )
    if "Item" not in answer:
        stdout.print(f"[bold red]There is no item with the key[/] {partition} / {sort}", highlight=False)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, typed in sorted(answer["Item"].items(), key=lambda attribute: (attribute[0] not in key, attribute[0])):
        text = str(next(iter(typed.values())))
        table.add_row(name, text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}... {len(text)} characters")
    stdout.print(table, markup=False, highlight=False)


def _show_dead_letters(target: Target) -> None:
    with working_on("Looking through the dead-letter queue"), looking_through(target) as look:
        letters = Counter((letter.reason, letter.detail) for group in look.groups() for letter in group)
    table = Table("Reason", "Detail")
    table.add_column("Events", justify="right")
    for (reason, detail), number in sorted(letters.items()):
        table.add_row(reason, detail, str(number))
    stdout.print(table, markup=False, highlight=False)


def _judge(report: Report, expected: _Expected, drained: bool) -> bool:
    if report.rows == expected.sales and report.consistent:
        stdout.print(f"[bold green]{expected.sales} distinct sales were sent, and {report.rows} rows are there.[/]")
        return True
    stdout.print(f"[bold red]{expected.sales} distinct sales were sent, and {report.rows} rows are there.[/]")
    if not drained:
        stdout.print("Events were still on their way when this was looked at: the machine may be busy. Run it again.")
    return False


def _last_full_month(today: date) -> date:
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def _heading(number: int, title: str, explanation: str) -> None:
    stdout.print(f"\n[bold cyan]{number}. {title}[/]")
    stdout.print(explanation, style="dim")
