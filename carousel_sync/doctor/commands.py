"""``carousel-sync doctor``: runs the checks and prints their findings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import typer

from carousel_sync.aws.target import Target
from carousel_sync.command_line import console
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.command_line.text import cell
from carousel_sync.doctor.checks import CHECKS, run_checks
from carousel_sync.doctor.finding import Check, Finding, Status, exit_code, release_exit_code
from carousel_sync.doctor.stage import Stage

_STYLES: Final = {Status.OK: "green", Status.NOT_CHECKED: "cyan", Status.WARNING: "yellow", Status.FAILURE: "bold red"}


def doctor(
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    stack_name: Annotated[
        str | None, typer.Option("--stack-name", help="CloudFormation stack. Default: carousel-sync-STAGE.")
    ] = None,
    producer: Annotated[
        str | None, typer.Option("--producer", metavar="ARN", help="User or role that puts the events on the bus.")
    ] = None,
    ci: Annotated[
        bool,
        typer.Option("--ci", help="For a release: decide the exit code by what the deployment can have broken."),
    ] = False,
    as_json: console.JsonOption = False,
) -> None:
    """Check a deployed stage, and name a remedy for every fault. Changes nothing.

    Exit code 0: everything is in order; 1: there are warnings; 2: there are failures; 3: there are none, but a check
    could not be carried out. With --ci, warnings, dead letters, and alarms that went off before the last deployment are
    reported, and do not count.
    """
    with console.readable_errors(console.EXIT_NOT_CHECKED):
        target = resolve(stage, local)
        findings: list[tuple[Check, Finding]] = []
        with console.progress_bar() as progress:
            task = progress.add_task("Checking", total=len(CHECKS))

            def started(check: Check) -> None:
                progress.update(task, description=f"Checking {check.name}")

            for found in run_checks(Stage(target, stack_name, producer), started):
                findings.append(found)
                progress.advance(task)
            progress.update(task, description="Checked everything")
    code = (release_exit_code if ci else exit_code)([finding for _, finding in findings])
    if as_json:
        checks = [{"check": check.name, **asdict(finding)} for check, finding in findings]
        console.print_json({"stage": target.stage, "target": str(target), "exit_code": code, "checks": checks})
    else:
        _show(target, findings)
    raise typer.Exit(code)


def _show(target: Target, findings: list[tuple[Check, Finding]]) -> None:
    rows = []
    for check, finding in findings:
        text = cell(finding.seen)
        if finding.remedy:
            text = text + "\n" + cell(f"→ {finding.remedy}", style="bold")
        rows.append((check.name, cell(finding.status.value, style=_STYLES[finding.status]), text))
    show_table(("Check", "Status", Column("Finding, and what to do", Kind.PROSE)), rows, console.stdout)
    counts = {status: sum(finding.status is status for _, finding in findings) for status in Status}
    summary = ", ".join(f"{count} {status.value}" for status, count in counts.items() if count)
    console.stdout.print(f"Stage {target.stage} at {target}: {summary}")
