"""How people see the comparison of the three stores: progress while it runs, then its findings and what to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import command_for, stderr, stdout, working_on
from carousel_sync.consistency.compare import Report, key_of
from carousel_sync.consistency.repair import Repairs
from carousel_sync.consistency.verify import verify_target

NAMES_SHOWN: Final = 20


class _Finding(NamedTuple):
    """A list of the report. ``meaning`` may name the commands ``{repair}`` and ``{dead_letters}``."""

    attribute: str
    title: str
    meaning: str


_FINDINGS: Final = (
    _Finding(
        "missing_rows",
        "Missing rows",
        "A look-up item or a completed claim says that the sale was stored, but the table has no row of it: rows were "
        "deleted, or the table was set back to an earlier snapshot. No command repairs this. Look at the table's "
        "snapshots; if rows were lost by mistake, set the table to the snapshot before that (Spark: CALL "
        "system.set_current_snapshot). If they were deleted on purpose, delete the look-up items as well. As long as "
        "the sale has a look-up item or a claim, an event about it that is sent again counts as a duplicate.",
    ),
    _Finding(
        "doubled_rows",
        "Doubled rows",
        "The table has more than one row of the sale. Either something other than the function wrote to the table, or "
        "a producer used the sale's id again, more than a day later, for another product or day. carousel-sync dedupe "
        "TENANT SALE shows the rows, and keeps one of them with --yes; if their facts differ, choose it with "
        "--keep NUMBER.",
    ),
    _Finding("missing_items", "Missing items", "The sale has a row but no look-up item. To write it: {repair}"),
    _Finding(
        "divergent",
        "Divergent items",
        "The look-up item differs from the row: something other than the function changed one of the two. To make the "
        "item match the row: {repair}",
    ),
    _Finding(
        "open_claims",
        "Open claims",
        "Work on the sale has begun and has not ended. While the queue holds messages, wait until it is empty and "
        "verify again. Once it is empty: {repair} completes the claims of sales that are in the table, and releases "
        "the others. The events of those are in the dead-letter queue ({dead_letters}), or must be sent again.",
    ),
)
_RELEASED: Final = _Finding(
    "released_claims",
    "Released claims",
    "Work on these sales began, but they are not in the table. The next delivery of their events stores them. If the "
    "queue is empty, look for the events in the dead-letter queue ({dead_letters}), or have them sent again.",
)
# Attribute of Repairs, what was changed, and how.
_REPAIRS: Final = (
    ("items_written", "Missing items", "written"),
    ("items_corrected", "Divergent items", "corrected"),
    ("items_removed", "Items under a wrong key, of sales that have an item under the right one", "deleted"),
    ("claims_completed", "Open claims of sales in the table", "completed"),
    ("claims_released", "Open claims of sales not in the table", "released"),
)


def verify_with_progress(target: Target, only: Collection[str] | None = None) -> Report:
    """Do what :func:`.verify.verify_target` does, with progress and warnings on standard error."""
    with working_on("Reading the Iceberg table") as progress:
        return verify_target(target, only, progress=progress, warn=lambda text: stderr.print(text, style="yellow"))


def show_report(report: Report, target: Target, console: Console = stdout) -> None:
    """Print the numbers, and for each list of the report what it means and what to do."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, number in (("Sales", report.sales), ("Rows", report.rows), ("Look-up items", report.items)):
        table.add_row(name, f"{number:,}")
    table.add_section()
    for finding in _FINDINGS:
        found = len(getattr(report, finding.attribute))
        table.add_row(finding.title, f"{found:,}", style="bold red" if found else "green")
    console.print(table)
    commands = {
        "repair": command_for(target, "verify", "--repair"),
        "dead_letters": command_for(target, "dlq", "list"),
    }
    for finding in (*_FINDINGS, _RELEASED):
        if names := getattr(report, finding.attribute):
            _show_list(f"{finding.title}.", finding.meaning.format(**commands), names, console)
    if report.consistent:
        console.print("\n[bold green]Consistent:[/] every sale has one row and its look-up item, and no claim is open.")
    else:
        console.print("\n[bold red]Not consistent.[/]")


def show_repairs(repairs: Repairs, target: Target) -> None:
    """Print what was changed, or would be in a dry run, and what was left as it is."""
    would_be = "would be " if repairs.dry_run else ""
    for attribute, title, participle in _REPAIRS:
        if names := getattr(repairs, attribute):
            _show_list(f"{title}: {len(names):,} {would_be}{participle}.", "", names)
    if repairs.left:
        left = [f"{name}: {reason}" for name, reason in sorted(repairs.left.items())]
        _show_list(f"Not repaired: {len(left):,}.", "Each with the reason:", left)
    if not repairs.changes:
        stdout.print("\nNothing can be repaired now.")
    elif repairs.dry_run:
        command = command_for(target, "verify", "--repair", "--yes")
        stdout.print(f"\nNothing was changed. To make these changes: {command}", markup=False, highlight=False)


def show_dedupe_commands(report: Report, target: Target) -> None:
    """Print for each doubled sale the command that keeps one row of it."""
    if commands := dedupe_commands(report, target):
        _show_list("To keep one row.", "Each command shows the rows of a sale, and keeps one with --yes:", commands)


def dedupe_commands(report: Report, target: Target) -> list[str]:
    """Return for each doubled sale the command that keeps one row of it."""
    return [command_for(target, "dedupe", arguments=key_of(name)) for name in sorted(report.findings.doubled)]


def _show_list(title: str, text: str, entries: Sequence[str], console: Console = stdout) -> None:
    console.print(f"\n[bold]{title}[/] {text}", highlight=False)
    for entry in entries[:NAMES_SHOWN]:
        console.print(f"  {entry}", markup=False, highlight=False, soft_wrap=True)
    if len(entries) > NAMES_SHOWN:
        console.print(f"  ... and {len(entries) - NAMES_SHOWN:,} more; --json lists all of them")
