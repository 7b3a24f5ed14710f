"""``carousel-sync doctor``: the checks from the command line."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    progress_bar,
    readable_errors,
    stdout,
)
from carousel_sync.command_line.stage import resolve
from carousel_sync.doctor.finding import Check, Finding, Status, exit_code
from carousel_sync.doctor.run import CHECKS, examine
from carousel_sync.doctor.stage import Stage

_STYLES: Final = {Status.OK: "green", Status.NOT_CHECKED: "cyan", Status.WARNING: "yellow", Status.FAILURE: "bold red"}


def doctor(
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    stack_name: Annotated[
        str | None, typer.Option("--stack-name", help="Name of the CloudFormation stack. Default: carousel-sync-STAGE.")
    ] = None,
    producer: Annotated[
        str | None, typer.Option("--producer", metavar="ARN", help="User or role that puts the events on the bus.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look a deployed stage over, and say for every fault what to do. Changes nothing.

    Exit code 0 when all is well, 1 when the worst is a warning or a check that could not be carried out, 2 when
    something has failed.
    """
    with readable_errors():
        examined = Stage(resolve(stage, local), stack_name, producer)
        findings: list[tuple[Check, Finding]] = []
        with progress_bar() as progress:
            task = progress.add_task("Looking", total=len(CHECKS))
            for found in examine(examined, lambda check: progress.update(task, description=f"Looking at {check.name}")):
                findings.append(found)
                progress.advance(task)
            progress.update(task, description="Looked at everything")
    code = exit_code(finding for _, finding in findings)
    if as_json:
        print_json(as_document(examined, findings))
    else:
        _show(examined, findings)
    raise typer.Exit(code)


def as_document(stage: Stage, findings: list[tuple[Check, Finding]]) -> dict[str, object]:
    """Return the report as JSON has it."""
    return {
        "stage": stage.target.stage,
        "target": str(stage.target),
        "exit_code": exit_code(finding for _, finding in findings),
        "checks": [
            {"check": check.name, "status": finding.status.value, "seen": finding.seen, "remedy": finding.remedy}
            for check, finding in findings
        ],
    }


def _show(stage: Stage, findings: list[tuple[Check, Finding]]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Check", no_wrap=True)
    table.add_column("Finding", no_wrap=True)
    table.add_column("What was seen, and what to do", overflow="fold")
    for check, finding in findings:
        told = Text(finding.seen)
        if finding.remedy:
            told.append(f"\n→ {finding.remedy}", style="bold")
        table.add_row(check.name, Text(finding.status.value, style=_STYLES[finding.status]), told)
    stdout.print(table, highlight=False)
    counts = {status: sum(1 for _, finding in findings if finding.status is status) for status in Status}
    summary = ", ".join(f"{number} {status.value}" for status, number in counts.items() if number)
    stdout.print(f"Stage {stage.target.stage} at {stage.target}: {summary}", highlight=False)
