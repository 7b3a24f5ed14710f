"""``carousel-sync check``: what the function would accept of a producer's events, without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from carousel_sync.backfill.records import RecordFile
from carousel_sync.check.events import Checked, checked
from carousel_sync.command_line import console
from carousel_sync.command_line.console import stdout
from carousel_sync.command_line.tables import Column, Kind, show_table
from lambda_fn.errors import ConfigurationError

REJECTIONS_SHOWN: Final = 20


def check(
    file: Annotated[Path, typer.Argument(help="A file with events, or with the details of events.")],
    as_json: console.JsonOption = False,
) -> None:
    """Check events in a file by the function's rules, without sending them.

    A detail without its envelope is checked as the event that a bus would make of it now. Whether a sale is stored with
    other facts (CONFLICTING_DUPLICATE), and whether its item would be too large (ITEM_TOO_LARGE), is not checked. Exit
    code 0: every event is valid; 1: some are not; 2: the file can't be read.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        with console.working_on(f"Checking {file}"):
            found = checked(RecordFile(file, now).read())
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from error
    if as_json:
        console.print_json(found.as_json())
    else:
        _show(found)
    if found.rejected:
        raise typer.Exit(console.EXIT_FAILED)


def _show(found: Checked) -> None:
    if found.rejected:
        columns = (Column("Line", Kind.NUMBER), "Reason", Column("Detail", Kind.PROSE))
        rows = [
            (f"{number:,}", rejection.reason.value, rejection.detail)
            for number, rejection in found.rejected[:REJECTIONS_SHOWN]
        ]
        show_table(columns, rows, stdout)
        if (more := len(found.rejected) - REJECTIONS_SHOWN) > 0:
            stdout.print(f"... and {more:,} more. For all of them, use --json.")
    for name, number in found.unknown_fields.most_common():
        text = f"Ignored, because the contract does not have it: {name} ({number:,} events)"
        stdout.print(text, style="yellow", soft_wrap=True)
    valid = found.events - len(found.rejected)
    stdout.print(f"{valid:,} of {found.events:,} events are valid.")
