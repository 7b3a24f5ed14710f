"""``carousel-sync verify``: whether the table, the projection and the guard agree, sale by sale."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import typer
from pyiceberg.exceptions import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as TextTable

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import (
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
from carousel_sync.command_line.stage import resolve
from carousel_sync.consistency.compare import (
    Report,
    StoredClaim,
    StoredSale,
    claim_of_item,
    compare,
    key_of,
    name_of,
    sale_of_item,
    sale_of_row,
)
from carousel_sync.consistency.repair import Repair, Repairs
from carousel_sync.consistency.table_rows import files_of, read_rows
from lambda_fn.aws.batch_requests import Item
from lambda_fn.errors import ConfigurationError, StoreUnavailable
from lambda_fn.sale import EVENT_TYPE

Stored = TypeVar("Stored", StoredSale, StoredClaim)

NAMES_FOR_PEOPLE: Final = 20
EXIT_INTERRUPTED: Final = 130
REPAIR: Final = "carousel-sync verify --repair"
RELEASED: Final = (
    "These sales were begun and are not in the table; the next delivery of their events lands them. If the queue is "
    "empty, look for the events in the dead-letter queue (carousel-sync dlq list), or have them sent again."
)


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
        "deleted, or the table was set back to an earlier snapshot. Nothing repairs this by itself. Look at the "
        "table's snapshots; if it was a mistake, set the table to the snapshot before it (Spark: CALL "
        "system.set_current_snapshot). If the rows were meant to go, delete the look-up items, too. An event that is "
        "sent again is taken for a duplicate for as long as the sale has its look-up item or its claim.",
    ),
    _Finding(
        "doubled_rows",
        "Doubled rows",
        "The table has more than one row of the sale: something other than the function has written to it, or a "
        "producer has used the sale's id again, more than a day later, for another product or day. "
        "carousel-sync dedupe TENANT SALE shows its rows, and leaves one of them with --yes; where their facts differ, "
        "--keep NUMBER says which.",
    ),
    _Finding(
        "missing_items",
        "Missing items",
        f"The row is there and the look-up item is not: {REPAIR} writes it.",
    ),
    _Finding(
        "divergent",
        "Divergent items",
        "The look-up item differs from the row: one of the two was changed by something other than the function. "
        f"{REPAIR} makes the item what the row says.",
    ),
    _Finding(
        "open_claims",
        "Open claims",
        "Work on the sale has begun and has not ended. While the queue holds messages, wait until it is empty and "
        f"verify again. If it is empty: {REPAIR} completes the claims of sales that are in the table and releases the "
        "others, whose events wait in the dead-letter queue (carousel-sync dlq list) or have to be sent again.",
    ),
)


def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="Also look how to mend what is found; changes nothing without --yes.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: mend it, and verify again.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the table's rows, the look-up items and the claims, sale by sale; exit code 0 only when they agree.

    While sales are being processed some are always on their way: wait until the queue is empty. --repair is safe at
    any moment: it writes look-up items and claims only, each on condition that it is still as it was read.
    """
    if yes and not repair:
        raise typer.BadParameter("--yes belongs to --repair")
    with readable_errors():
        target = resolve(stage, local)
        report = verify_target(target)
        repairs = _repaired(target, report, dry_run=not yes) if repair else None
        after = verify_target(target) if yes else None
    if as_json:
        print_json(_as_json(report, repairs, after, target))
    else:
        _show_all(report, repairs, after, target)
    if not (after or report).consistent:
        raise typer.Exit(EXIT_FAILED)


def verify_target(target: Target, only: Collection[str] | None = None) -> Report:
    """Read the three stores and compare them, with progress on standard error.

    ``only`` leaves out all sales but these (by :func:`name_of`). Raises TableMissing, ConfigurationError and
    StoreUnavailable. A head that moved meanwhile is told on standard error.
    """
    with _progress() as (progress, task), readable_file_errors():
        table = target.load_table()
        settings = target.settings

        def show_files(done: int, of: int) -> None:
            progress.update(task, description=f"Reading the Iceberg table: {done:,} of {of:,} files")

        rows = (sale_of_row(row.sale, row.derived_well) for row in read_rows(table, show_files))
        items = _items(target, settings.projection_table, progress, task)
        claims = _claims(target, settings.guard_table, progress, task)
        report = compare(_only(rows, only), _only(items, only), _only(claims, only), time.time())
        newer = target.load_table()
        moved = newer.metadata_location != table.metadata_location
        if moved and report.missing_rows:
            landed = (name_of(row.sale.key) for row in read_rows(newer, show_files, files_of(table)))
            report = report.without(report.findings.without_row.intersection(landed))
    if moved and not report.consistent:
        stderr.print(
            "The table has changed while it was being read: sales are being processed. Wait until the queue is empty "
            "and verify again.",
            style="yellow",
        )
    return report


def _only(stored: Iterator[Stored], names: Collection[str] | None) -> Iterator[Stored]:
    return stored if names is None else (one for one in stored if name_of(one.key) in names)


def _repaired(target: Target, report: Report, *, dry_run: bool) -> Repairs:
    with _progress() as (progress, task), readable_file_errors():

        def told(done: int, of: int) -> None:
            progress.update(task, description=f"Looking at what was found: {done:,} of {of:,} files of the table")

        work = Repair(target, report, dry_run=dry_run, progress=told)
        try:
            return work.run()
        except KeyboardInterrupt:
            stderr.print(
                f"Interrupted. {work.done.changes:,} changes were made and stay; each of them is whole. Run the "
                "command again to go on.",
                highlight=False,
            )
            raise typer.Exit(EXIT_INTERRUPTED) from None


@contextmanager
def _progress() -> Iterator[tuple[Progress, TaskID]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        yield progress, progress.add_task("Reading the Iceberg table", total=None)


@contextmanager
def readable_file_errors() -> Iterator[None]:
    """Tell for a person that a data file can't be read. Raises StoreUnavailable."""
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
    if report.released_claims:
        _show_finding(console, "Released claims", RELEASED, report.released_claims)
    console.print()
    if report.consistent:
        console.print("[bold green]Consistent:[/] every sale has one row and its look-up item, and no claim is open.")
    else:
        console.print("[bold red]Not consistent.[/]")


def _show_finding(console: Console, title: str, meaning: str, names: Sequence[str]) -> None:
    console.print(f"\n[bold]{title}.[/] {meaning}", highlight=False)
    for name in names[:NAMES_FOR_PEOPLE]:
        console.print(f"  {name}", markup=False, highlight=False, soft_wrap=True)
    if len(names) > NAMES_FOR_PEOPLE:
        console.print(f"  ... and {len(names) - NAMES_FOR_PEOPLE:,} more; --json lists all of them")


def _show_all(report: Report, repairs: Repairs | None, after: Report | None, target: Target) -> None:
    show(report, stdout)
    if report.doubled_rows:
        _show_finding(
            stdout, "To leave one row", "Each of these shows; with --yes it does:", dedupe_commands(report, target)
        )
    if repairs is None:
        return
    verb = "would be" if repairs.dry_run else "were"
    for title, names in repairs.listed.items():
        if names:
            _show_finding(stdout, f"{title.capitalize()}: {len(names):,}", f"These {verb} mended.", names)
    if repairs.left:
        left = [f"{name}: {why}" for name, why in sorted(repairs.left.items())]
        _show_finding(stdout, f"Left as they are: {len(left):,}", "Each with its reason:", left)
    if not repairs.changes:
        stdout.print("There is nothing that could be mended now.")
    elif repairs.dry_run:
        command = shlex.join([*REPAIR.split(), *_where(target), "--yes"])
        stdout.print(f"\nNothing was changed. To mend what can be: {command}", markup=False, highlight=False)
    if after is not None:
        stdout.print("\n[bold]After the repair:[/]")
        show(after, stdout)


def _where(target: Target) -> list[str]:
    stage = [] if target.stage == DEFAULT_STAGE else ["--stage", target.stage]
    return [*stage, "--local"] if target.is_local else stage


def _as_json(report: Report, repairs: Repairs | None, after: Report | None, target: Target) -> dict[str, Any]:
    document = report.as_json()
    if repairs is not None:
        document["repair"] = {**repairs.as_json(), "commands": dedupe_commands(report, target)}
        document["after"] = after.as_json() if after else None
    return document


def dedupe_commands(report: Report, target: Target) -> list[str]:
    """Return for each doubled sale the command that leaves one row of it."""
    keys = sorted(key_of(name) for name in report.findings.doubled)
    # An id that looks like an option is told apart by two dashes before it.
    dashes = {key: ["--"] if any(part.startswith("-") for part in key) else [] for key in keys}
    return [shlex.join(["carousel-sync", "dedupe", *_where(target), *dashes[key], *key]) for key in keys]


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
        ProjectionExpression="tenantId, eventId, leaseUntil, #status",
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
