"""``carousel-sync verify``: whether the table, the projection and the guard agree, sale by sale."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import typer
from pyiceberg.exceptions import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as TextTable

from lambda_fn.dynamodb import Item
from lambda_fn.errors import ConfigurationError, StoreUnavailable
from lambda_fn.sale import EVENT_TYPE
from ops.consistency import Report, StoredClaim, StoredSale, claim_of_item, compare, sale_of_item, sale_of_row
from ops.console import (
    DEFAULT_STAGE,
    EXIT_FAILED,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    stderr,
    stdout,
)
from ops.table_rows import read_rows
from ops.target import Target, resolve

NAMES_FOR_PEOPLE: Final = 20


class _Finding(NamedTuple):
    """A list of the report: what it is called, what it means, and what to do."""

    attribute: str
    title: str
    meaning: str


_FINDINGS: Final = (
    _Finding(
        "missing_rows",
        "Missing rows",
        "A look-up item or a completed claim says that the sale was stored, and the table has no row of it: rows were "
        "deleted, or the table was restored to an earlier snapshot. Look at its history before sending anything again.",
    ),
    _Finding(
        "doubled_rows",
        "Doubled rows",
        "The table has more than one row of the sale: something other than the function has written to it.",
    ),
    _Finding(
        "missing_items",
        "Missing items",
        "The row is there and the look-up item is not. With an open claim the next delivery of the event writes it; "
        "without one, it was deleted.",
    ),
    _Finding(
        "divergent",
        "Divergent items",
        "The look-up item differs from the row: one of the two was changed by something other than the function.",
    ),
    _Finding(
        "open_claims",
        "Open claims",
        "Work on the sale has begun and has not ended. While the queue holds messages, wait until it is empty and "
        "verify again. If it is empty, the event waits in the dead-letter queue or has to be sent again: its next "
        "delivery settles the sale.",
    ),
)


def verify(stage: StageOption = DEFAULT_STAGE, local: LocalOption = False, as_json: JsonOption = False) -> None:
    """Compare the table's rows, the look-up items and the claims, sale by sale; exit code 0 only when they agree.

    It changes nothing. While sales are being processed some are always on their way: wait until the queue is empty.
    """
    with readable_errors():
        target = resolve(stage, local)
        report = verify_target(target)
    if as_json:
        print_json(report.as_json())
    else:
        show(report, stdout)
    if not report.consistent:
        raise typer.Exit(EXIT_FAILED)


def verify_target(target: Target) -> Report:
    """Read the three stores and compare them, with progress on standard error.

    Raises TableMissing, ConfigurationError and StoreUnavailable. A head that moved meanwhile is told on standard error.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress, _readable_file_errors():
        table = target.load_table()
        settings = target.settings
        task = progress.add_task("Reading the Iceberg table", total=None)

        def show_files(done: int, of: int) -> None:
            progress.update(task, description=f"Reading the Iceberg table: {done:,} of {of:,} files")

        rows = (sale_of_row(row.sale, row.derived_well) for row in read_rows(table, show_files))
        items = _items(target, settings.projection_table, progress, task)
        claims = _claims(target, settings.guard_table, progress, task)
        report = compare(rows, items, claims, time.time())
        moved = target.load_table().metadata_location != table.metadata_location
    if moved and not report.consistent:
        stderr.print(
            "The table has changed while it was being read: sales are being processed. Wait until the queue is empty "
            "and verify again.",
            style="yellow",
        )
    return report


@contextmanager
def _readable_file_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, ValidationError) as error:
        raise StoreUnavailable(
            f"A file of the Iceberg table can't be read: {error}. Nothing was changed. If the table was compacted "
            "meanwhile, the command succeeds when it is run again; else look for the file in the table's bucket."
        ) from error


def show(report: Report, console: Console) -> None:
    """Print a report for people: the numbers, and for each kind of finding what it means."""
    table = TextTable(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, number in (("Sales", report.sales), ("Rows", report.rows), ("Look-up items", report.items)):
        table.add_row(name, f"{number:,}")
    table.add_section()
    for attribute, title, _ in _FINDINGS:
        found = len(getattr(report, attribute))
        table.add_row(title, f"{found:,}", style="bold red" if found else "green")
    console.print(table)
    for attribute, title, meaning in _FINDINGS:
        if names := getattr(report, attribute):
            _show_finding(console, title, meaning, names)
    if report.consistent:
        console.print("[bold green]Consistent:[/] every sale has one row and its look-up item, and no claim is open.")
    else:
        console.print("[bold red]Not consistent.[/] Nothing was changed.")


def _show_finding(console: Console, title: str, meaning: str, names: list[str]) -> None:
    console.print(f"\n[bold]{title}.[/] {meaning}")
    for name in names[:NAMES_FOR_PEOPLE]:
        console.print(f"  {name}", markup=False, highlight=False, soft_wrap=True)
    if len(names) > NAMES_FOR_PEOPLE:
        console.print(f"  ... and {len(names) - NAMES_FOR_PEOPLE:,} more; --json lists all of them")
    console.print()


def _items(target: Target, table: str, progress: Progress, task: TaskID) -> Iterator[StoredSale]:
    def told(number: int) -> None:
        progress.update(task, description=f"Reading the projection: {number:,} items")

    return (sale_of_item(item) for item in _scan(target, told, TableName=table))


def _claims(target: Target, table: str, progress: Progress, task: TaskID) -> Iterator[StoredClaim]:
    def told(number: int) -> None:
        progress.update(task, description=f"Reading the guard: {number:,} claims")

    # Claims of other kinds of events may live in the same table.
    scan = _scan(
        target,
        told,
        TableName=table,
        FilterExpression="eventType = :sold",
        ProjectionExpression="tenantId, eventId, #status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":sold": {"S": EVENT_TYPE}},
    )
    return (claim_of_item(item) for item in scan)


def _scan(target: Target, told: Callable[[int], None], **parameters: Any) -> Iterator[Item]:
    client = target.client("dynamodb")
    number = 0
    told(number)
    try:
        for page in client.get_paginator("scan").paginate(ConsistentRead=True, **parameters):
            yield from page["Items"]
            number += len(page["Items"])
            told(number)
    except client.exceptions.ResourceNotFoundException as error:
        raise ConfigurationError(
            f"DynamoDB table {parameters['TableName']} does not exist at {target}, though the function is set up to "
            "use it. Nothing was changed. Deploy the stack again to make it; its data has to come from a backup."
        ) from error
