"""How people see the comparison of the three stores: progress while it runs, then its findings and what to do."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from importlib.resources import files
from typing import Final

from rich.console import Console
from rich.table import Column, Table

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import command_for, stderr, stdout, working_on
from carousel_sync.consistency.compare import Report, key_of
from carousel_sync.consistency.repair import Repairs
from carousel_sync.consistency.verify import verify_target

NAMES_SHOWN: Final = 20


# The lists of a report in the order in which they are shown, each with its "title" and its "meaning".
_FINDINGS: Final = tomllib.loads((files(__package__) / "findings.toml").read_text())
_RELEASED: Final = "released_claims"
"""The only list that is no disagreement, and so no line of the table."""
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
    table = Table("", Column(justify="right"), show_header=False)
    table.add_row("Sales", f"{report.sales:,}")
    table.add_row("Rows", f"{report.rows:,}")
    if report.landed_meanwhile:
        table.add_row("- of sales that landed during the check", f"{len(report.landed_meanwhile):,}")
    table.add_row("Look-up items", f"{report.items:,}")
    table.add_section()
    listed = {name: getattr(report, name) for name in _FINDINGS}
    for name, entries in listed.items():
        if name != _RELEASED:
            style = "bold red" if entries else "green"
            table.add_row(_FINDINGS[name]["title"], f"{len(entries):,}", style=style)
    console.print(table)
    repair, dead_letters = command_for(target, "verify", "--repair"), command_for(target, "dlq", "list")
    for name, entries in listed.items():
        if entries:
            meaning = _FINDINGS[name]["meaning"].format(repair=repair, dead_letters=dead_letters)
            show_list(f"{_FINDINGS[name]['title']}.", meaning, entries, console)
    if report.consistent:
        console.print("\n[bold green]Consistent:[/] every sale has one row and its look-up item, and no claim is open.")
    else:
        console.print("\n[bold red]Not consistent.[/]")


def show_repairs(repairs: Repairs, target: Target) -> None:
    """Print what was changed, or would be in a dry run, and what was left as it is."""
    would_be = "would be " if repairs.dry_run else ""
    for attribute, title, participle in _REPAIRS:
        if names := getattr(repairs, attribute):
            show_list(f"{title}: {len(names):,} {would_be}{participle}.", "", names)
    if repairs.left:
        left = [f"{name}: {reason}" for name, reason in sorted(repairs.left.items())]
        show_list(f"Not repaired: {len(left):,}.", "Each with the reason:", left)
    if not repairs.changes:
        stdout.print("\nNothing can be repaired now.")
    elif repairs.dry_run:
        command = command_for(target, "verify", "--repair", "--yes")
        stdout.print(f"\nNothing was changed. To make these changes: {command}", markup=False, highlight=False)


def dedupe_commands(report: Report, target: Target) -> list[str]:
    """Return for each doubled sale the command that keeps one row of it."""
    return [command_for(target, "dedupe", arguments=key_of(name)) for name in sorted(report.findings.doubled)]


def show_list(title: str, text: str, entries: Sequence[str], console: Console = stdout) -> None:
    """Print the first entries under a title with an explanation."""
    console.print(f"\n[bold]{title}[/] {text}", highlight=False)
    for entry in entries[:NAMES_SHOWN]:
        console.print(f"  {entry}", markup=False, highlight=False, soft_wrap=True)
    if len(entries) > NAMES_SHOWN:
        console.print(f"  ... and {len(entries) - NAMES_SHOWN:,} more; --json lists all of them")
