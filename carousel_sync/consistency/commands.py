"""``carousel-sync verify`` and ``carousel-sync dedupe``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from carousel_sync.aws.target import Target
from carousel_sync.command_line import console
from carousel_sync.command_line.console import JsonOption, LocalOption, StageOption, readable_errors, stderr, stdout
from carousel_sync.command_line.queue_hint import show_waiting_events
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import Column, Kind, Row, show_table
from carousel_sync.command_line.text import cell, emphasised
from carousel_sync.consistency import presentation
from carousel_sync.consistency.compare import Report
from carousel_sync.consistency.dedupe import SaleRows, keep_one_row, rows_of
from carousel_sync.consistency.repair import Repair, Repairs
from carousel_sync.consistency.verify import readable_file_errors
from lambda_fn.sale import SaleKey

LONGEST_VALUE: Final = 60
MOST_ROWS: Final = 10_000


def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="Also show how to repair what is found. Changes nothing without --yes.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: make the repairs, then verify again.")] = False,
    stage: StageOption = console.DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the table's rows, the look-up items and the claims, sale by sale.

    Exit code 0: they agree; 1: they do not; 3: they could not be compared. While sales are being processed, some of
    them are incomplete: wait until the queue is empty. --repair is safe at any time: it changes only look-up items and
    claims, each only if it is still as it was read.
    """
    if yes and not repair:
        raise typer.BadParameter("--yes belongs to --repair")
    with readable_errors(console.EXIT_NOT_CHECKED):
        target = resolve(stage, local)
        report = presentation.verify_with_progress(target)
        repairs = _repair(target, report, dry_run=not yes) if repair else None
        after = presentation.verify_with_progress(target) if yes else None
    if as_json:
        document = report.as_json()
        if repairs is not None:
            document["repair"] = {**vars(repairs), "commands": presentation.dedupe_commands(report, target)}
            document["after"] = after.as_json() if after else None
        console.print_json(document)
    else:
        _show(report, repairs, after, target)
    final = after or report
    if not (final.consistent and final.rows):
        show_waiting_events(target)
    if not final.consistent:
        raise typer.Exit(console.EXIT_FAILED)


def _repair(target: Target, report: Report, *, dry_run: bool) -> Repairs:
    with console.working_on("Reading the Iceberg table again") as progress, readable_file_errors():

        def show_files(done: int, total: int) -> None:
            progress(f"Repairing what was found: {done:,} of {total:,} files of the table")

        repair = Repair(target, report, dry_run=dry_run, progress=show_files)
        try:
            return repair.run()
        except KeyboardInterrupt:
            command = console.command_for(target, "verify", "--repair", *([] if dry_run else ["--yes"]))
            stderr.print(
                f"Interrupted. {repair.done.made:,} changes were made; they remain, and each is complete. To continue: "
                f"{command}",
                soft_wrap=True,
            )
            raise typer.Exit(console.EXIT_INTERRUPTED) from None


def _show(report: Report, repairs: Repairs | None, after: Report | None, target: Target) -> None:
    presentation.show_report(report, target)
    if commands := presentation.dedupe_commands(report, target):
        explanation = "Each command shows the rows of a sale, and keeps one with --yes:"
        presentation.show_list("To keep one row.", explanation, commands)
    if repairs is not None:
        presentation.show_repairs(repairs, target)
    if after is not None:
        stdout.print(emphasised("\nAfter the repair:"))
        presentation.show_report(after, target)


def dedupe(
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="The sale's tenant.")],
    sale_id: Annotated[str, typer.Argument(metavar="SALE", help="The sale's id.")],
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", min=1, max=MOST_ROWS, help="Number of the row to keep. Required if the rows have different facts."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove the other rows. Without it, the rows are only shown.")
    ] = False,
    stage: StageOption = console.DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Keep one row of a sale that the Iceberg table has more than once.

    Safe while sales are being processed, and safe to repeat. Exit code 0: the sale has at most one row; 1: it has more.
    """
    key = SaleKey(tenant_id, sale_id)
    with readable_errors(), readable_file_errors():
        target = resolve(stage, local)
        with console.working_on(f"Looking for the rows of {tenant_id}/{sale_id}"):
            found = rows_of(target.load_table(), key)
        if not as_json:
            _show_rows(found)
        if yes and found.count > 1:
            with console.working_on("Rewriting the files that contain them"):
                keep_one_row(target, key, keep, found.count)
    done = yes or found.count <= 1
    if as_json:
        differing = {"differing": sorted(found.differing), "alike": found.have_same_facts}
        console.print_json({"rows": found.as_json(), **differing, "done": done})
    elif yes and found.count > 1:
        command = console.command_for(target, "verify", "--repair")
        stdout.print(f"One row is left. Now check its look-up item: {command}", soft_wrap=True)
    elif not done:
        options = ["--yes"] if found.have_same_facts else ["--yes", "--keep", "NUMBER"]
        command = console.command_for(target, "dedupe", *options, arguments=key)
        stderr.print(f"Nothing was changed. To keep one row: {command}", soft_wrap=True)
    if not done:
        raise typer.Exit(console.EXIT_FAILED)


def _show_rows(found: SaleRows) -> None:
    if found.count <= 1:
        stdout.print(f"The table has {found.count} row{'' if found.count else 's'} of the sale: nothing to do.")
        return
    facts = "the same facts" if found.have_same_facts else "different facts"
    stdout.print(f"The table has {found.count} rows of the sale, with {facts}:")
    listed = found.as_json()
    # A column for each row: usually there are two, which may differ in twenty columns of the table.
    columns = [Column("Column"), *(Column(f"Row {row['number']}", Kind.PROSE) for row in listed)]
    rows: list[Row] = [(cell(name), *(_shortened(row[name]) for row in listed)) for name in list(listed[0])[1:]]
    show_table(columns, rows, stdout)


def _shortened(value: Any) -> Text:
    if value is None:
        return cell("NULL", style="dim")
    return cell(value.isoformat() if isinstance(value, datetime | date) else str(value), LONGEST_VALUE)
