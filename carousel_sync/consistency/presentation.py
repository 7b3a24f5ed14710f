"""How people see the comparison of the three stores: progress while it runs, then its findings and what to do."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from importlib.resources import files
from typing import Final

from rich.console import Console

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import command_for, stderr, stdout, working_on
from carousel_sync.command_line.tables import Column, Kind, Row, show_table
from carousel_sync.command_line.text import cell, emphasised, one_line
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
    rows: list[Row] = [("Sales", f"{report.sales:,}"), ("Rows", f"{report.rows:,}")]
    if report.landed_meanwhile:
        rows.append(("- of sales that landed during the check", f"{len(report.landed_meanwhile):,}"))
    rows += [("Look-up items", f"{report.items:,}"), None]
    listed = {name: getattr(report, name) for name in _FINDINGS}
    for name, entries in listed.items():
        if name != _RELEASED:
            style = "bold red" if entries else "green"
            rows.append([cell(text, style=style) for text in (_FINDINGS[name]["title"], f"{len(entries):,}")])
    show_table((Column(""), Column("", Kind.NUMBER)), rows, console)
    repair, dead_letters = command_for(target, "verify", "--repair"), command_for(target, "dlq", "list")
    for name, entries in listed.items():
        if entries:
            meaning = _FINDINGS[name]["meaning"].format(repair=repair, dead_letters=dead_letters)
            show_list(f"{_FINDINGS[name]['title']}.", meaning, entries, console)
    if report.consistent:
        meaning = " every sale has one row and its look-up item, and no claim is open."
        console.print(emphasised("\nConsistent:", meaning, "bold green"))
    else:
        console.print(emphasised("\nNot consistent.", style="bold red"))


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
        stdout.print(f"\nNothing was changed. To make these changes: {command}", soft_wrap=True)


def dedupe_commands(report: Report, target: Target) -> list[str]:
    """Return for each doubled sale the command that keeps one row of it."""
    return [command_for(target, "dedupe", arguments=key_of(name)) for name in sorted(report.findings.doubled)]


def show_list(title: str, text: str, entries: Sequence[str], console: Console = stdout) -> None:
    """Print the first entries under a title with an explanation."""
    console.print(emphasised(f"\n{title}", f" {text}"), soft_wrap=True)
    for entry in entries[:NAMES_SHOWN]:
        console.print(f"  {one_line(entry)}", soft_wrap=True)
    if len(entries) > NAMES_SHOWN:
        console.print(f"  ... and {len(entries) - NAMES_SHOWN:,} more; --json lists all of them")
