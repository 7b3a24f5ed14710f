"""The steps of the demo, each printed with what it does: events in, and what is stored in the end."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.syntax import Syntax

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.event_bus import EventBus, bus_of
from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import progress_bar, stdout, working_on
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.command_line.text import emphasised
from carousel_sync.consistency.compare import Report
from carousel_sync.consistency.presentation import show_report, verify_with_progress
from carousel_sync.dead_letters.queue import scanning
from carousel_sync.events.event_file import read_event
from carousel_sync.events.generate import OLDEST_SALE_DAYS, Recipe, Role
from carousel_sync.events.simulation import Counts, send_all
from carousel_sync.explore.duckdb_table import open_sales
from carousel_sync.explore.results import show
from carousel_sync.explore.sql import run
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import EXAMPLE_EVENT, PROJECT_ROOT
from carousel_sync.report.disclosure import Rules
from carousel_sync.report.page import html
from carousel_sync.report.period import period_of
from carousel_sync.report.produce import Wanted, produce, write_page
from lambda_fn.errors import ConfigurationError
from lambda_fn.event import parse_message
from lambda_fn.projection.item import projection_key
from lambda_fn.sale import Sale

TENANT: Final = "carousel-labs"
SIMULATED_EVENTS: Final = 400
SIMULATED_TENANTS: Final = 6
SEED: Final = 20251230
TIMEOUT_SECONDS: Final = 150.0
TEXT_CHARACTERS: Final = 60
REPORT: Final = Path("demo-report.html")


def play(stack: LocalStack) -> bool:
    """Start the stack and run all steps. Returns whether every sale is stored exactly once."""
    _heading(1, "The stack", "An AWS emulator on this machine, with template.yaml deployed by CloudFormation.")
    with working_on("Starting the stack"):
        stack.up()
    target = stack.target()
    stdout.print(f"Up at {target}: event bus, queue, function, DynamoDB tables, and the Iceberg table in S3 Tables.")

    _heading(2, "Events", "The example event and generated ones, some duplicates, some invalid, on the event bus.")
    example, recipe = _send(target)

    _heading(3, "Processing", "The function receives them from the queue in batches, each of them one Iceberg commit.")
    drained = _wait(target, recipe.count + 1)

    _heading(4, "The Iceberg table, in SQL", "The query that an analyst runs in Athena, here in DuckDB.")
    _show_query(target, recipe.until.replace(day=1) - timedelta(days=1))

    _heading(5, "The projection", "The item of the example's sale in DynamoDB, read by its key.")
    _show_item(target, example)

    _heading(6, "Dead letters", "Events that are not valid sales, kept byte for byte, each with its reason.")
    _show_dead_letters(target)

    _heading(7, "Verification", "The table, the projection and the guard, compared sale by sale.")
    report = verify_with_progress(target)
    show_report(report, target)
    success = _judge(report, recipe.sales + 1, drained)

    _heading(
        8,
        "The report",
        "Prices, time to sell and trends of all tenants, as one page. It withholds what tells one tenant's sales.",
    )
    _write_report(target, recipe.until)
    return success


def _send(target: Target) -> tuple[Sale, Recipe]:
    """Send the example and generated events. Returns the example's sale and the recipe of the others."""
    bus = EventBus(target.client("events"), bus_of(target))
    content = parse_message("example", EXAMPLE_EVENT.read_text(encoding="utf-8"), "").content
    if not isinstance(content, Sale):
        raise ConfigurationError(f"{EXAMPLE_EVENT} breaks the contract: {content.detail}. Nothing was sent.")
    today = datetime.now(UTC).date()
    recipe = Recipe(
        count=SIMULATED_EVENTS, seed=SEED, until=today, tenants=SIMULATED_TENANTS, duplicates=0.1, invalid=0.05
    )
    bus.put([read_event(EXAMPLE_EVENT)])
    counts = Counts()
    with progress_bar() as progress:
        task = progress.add_task("Sending events", total=recipe.count)
        for batch in send_all(recipe, bus):
            counts.add(*batch)
            progress.advance(task, len(batch))
    stdout.print(
        f"Sent {EXAMPLE_EVENT.relative_to(PROJECT_ROOT)} and {counts.events} more: {counts.roles[Role.SALE]} distinct "
        f"sales, {counts.roles[Role.DUPLICATE]} duplicates of them, {counts.roles[Role.INVALID]} invalid.",
    )
    return content, recipe


def _wait(target: Target, events: int) -> bool:
    url = buffer_queue.buffer_queue_url(target)
    started = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task("Processing events", total=events)

        def on_poll(depth: buffer_queue.QueueDepth) -> None:
            progress.update(task, completed=max(0, events - depth.waiting - depth.in_flight))

        drained = buffer_queue.wait_until_empty(target, url, TIMEOUT_SECONDS, on_poll)
    if drained:
        snapshots = len(target.load_table().snapshots())
        seconds = time.monotonic() - started
        stdout.print(f"The queue was empty after {seconds:.0f} s. The table has {snapshots} snapshots.")
    else:
        left = buffer_queue.depth(target, url)
        head = f"After {TIMEOUT_SECONDS:.0f} s the queue is not empty:"
        waiting = f" {left.waiting} events are waiting, and {left.in_flight} are being processed or will be delivered "
        stdout.print(emphasised(head, f"{waiting}again.", "bold red"))
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
    response: dict[str, Any] = target.client("dynamodb").get_item(
        TableName=target.settings.projection_table, Key=key, ConsistentRead=True
    )
    if "Item" not in response:
        stdout.print(emphasised("There is no item with the key", f" {partition} / {sort}", "bold red"))
        return
    rows = []
    for name, typed in sorted(response["Item"].items(), key=lambda attribute: (attribute[0] not in key, attribute[0])):
        text = str(next(iter(typed.values())))
        shortened = f"{text[:TEXT_CHARACTERS]}... {len(text)} characters"
        rows.append((name, text if len(text) <= TEXT_CHARACTERS else shortened))
    show_table(("", ""), rows, stdout)


def _show_dead_letters(target: Target) -> None:
    with working_on("Reading the dead-letter queue"), scanning(target) as scan:
        letters = Counter((letter.reason, letter.detail) for batch in scan.batches() for letter in batch)
    rows = [(reason, detail, str(number)) for (reason, detail), number in sorted(letters.items())]
    show_table(("Reason", Column("Detail", Kind.PROSE), Column("Events", Kind.NUMBER)), rows, stdout)


def _judge(report: Report, sales: int, drained: bool) -> bool:
    success = report.rows == sales and report.consistent
    colour = "green" if success else "red"
    text = f"{sales} distinct sales were sent, and the table has {report.rows} rows."
    stdout.print(text, style=f"bold {colour}")
    if not success and not drained:
        stdout.print("Not all events had been processed by then; the machine may be busy. Run the demo again.")
    return success


def _write_report(target: Target, until: date) -> None:
    """Write the page about all sales of the demo into the current folder."""
    with working_on("Making the report") as progress:
        first, last = until - timedelta(days=OLDEST_SALE_DAYS), until - timedelta(days=1)
        period = period_of(None, f"{first:%Y-%m}", f"{last:%Y-%m}")
        page = html(produce(target, Wanted(period, Rules()), progress))
        write_page(REPORT, page)
    stdout.print(f"Open it in a browser: {REPORT.resolve()}", soft_wrap=True)


def _heading(number: int, title: str, explanation: str) -> None:
    stdout.print(f"\n{number}. {title}", style="bold cyan")
    stdout.print(explanation, style="dim")
