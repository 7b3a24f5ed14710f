"""``carousel-sync backfill``: stores past sales from files exactly once, like events."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from carousel_sync.backfill import landing
from carousel_sync.backfill.landing import Backfill, BackfillReport
from carousel_sync.backfill.records import RecordFile
from carousel_sync.command_line import console
from carousel_sync.command_line.console import JsonOption, LocalOption, StageOption, readable_errors, stderr, stdout
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.command_line.text import cell
from lambda_fn.errors import CarouselSyncError, ConfigurationError, StoreUnavailable

BATCH_SIZE: Final = 500
# A batch has to be stored within the time of one invocation.
BATCH_SIZE_LIMIT: Final = 10_000
MOST_PER_SECOND: Final = 100_000
MOST_LINES: Final = 10**12

NextStep = Callable[[BackfillReport], str]
"""Returns what to do after a backfill that ended early."""


def backfill(
    files: Annotated[
        list[Path],
        typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON lines or Parquet (docs/backfill.md)."),
    ],
    event_time: Annotated[
        str | None,
        typer.Option("--time", metavar="INSTANT", help="Event time of records without one: 2026-01-31T00:00:00Z."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, max=BATCH_SIZE_LIMIT, help="Sales in one commit.")
    ] = BATCH_SIZE,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=0.01, max=MOST_PER_SECOND, help="Average number of sales a second. Default: no limit."
        ),
    ] = None,
    skip: Annotated[
        int,
        typer.Option(
            "--skip", min=0, max=MOST_LINES, help="Number of lines or rows to skip at the beginning of the file."
        ),
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every record, and write nothing.")] = False,
    stage: StageOption = console.DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store past sales from files with events, event details, or rows of the table: one row for each sale.

    Safe to interrupt and to repeat at any moment: sales that are already stored are recognised as duplicates. Rejected
    records are written to FILE.rejected.jsonl beside the file, with the reason. Exit code 0: all records are stored; 1:
    some were rejected or could not be stored; 2: an argument or a file is invalid, and nothing was written.
    """
    sources = _sources(files, event_time, skip)

    def command(paths: Sequence[Path], lines: int) -> str:
        size = batch_size if batch_size != BATCH_SIZE else None
        options = {"--time": event_time, "--batch-size": size, "--rate": rate, "--skip": lines or None}
        given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        return console.command_for(resolve(stage, local), "backfill", *given, arguments=[str(path) for path in paths])

    def next_step(report: BackfillReport) -> str:
        return "Nothing was written." if dry_run else continuation(report, files, command)

    def run(process: landing.Process | None, description: str) -> BackfillReport:
        work = Backfill(process, batch_size=batch_size, rate=rate)
        return _run(work, sources, skip, description, next_step)

    with readable_errors():
        if dry_run:
            report = run(None, "Checking records")
        else:
            target = resolve(stage, local)
            target.load_table()  # raises TableMissing before anything is written
            if not skip:
                landing.delete_rejected_files(files)
            with redirect_stdout(_Discard()), landing.application_of(target) as application:
                report = run(landing.process_with(application), f"Storing sales at {target}")
    if as_json:
        shown = {name: value for name, value in vars(report).items() if name not in ("examples", "settled")}
        console.print_json({"dry_run": dry_run, **shown, "rejected_examples": report.examples})
    else:
        _show(report, next_step, dry_run=dry_run)
    if not report.complete:
        raise typer.Exit(console.EXIT_FAILED)


def _sources(files: Sequence[Path], event_time: str | None, skip: int) -> list[RecordFile]:
    """Open the files. Raises typer.BadParameter for invalid arguments and files."""
    if skip and len(files) > 1:
        raise typer.BadParameter("--skip counts the lines of one file: load that file alone, and the others afterwards")
    if len({file.resolve() for file in files}) < len(files):
        raise typer.BadParameter("a file was given twice")
    if event_time is not None and not _is_instant(event_time):
        raise typer.BadParameter("--time must be an ISO 8601 instant with a time zone, such as 2026-01-31T00:00:00Z")
    try:
        return [RecordFile(file, event_time) for file in files]
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error


def _is_instant(text: str) -> bool:
    try:
        return "T" in text and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _run(
    work: Backfill, sources: Sequence[RecordFile], skip: int, description: str, next_step: NextStep
) -> BackfillReport:
    with console.working_on("Counting records"):
        total = sum(source.count() for source in sources) - skip
    # The function logs to standard output, for CloudWatch. The progress bar puts its own stream there, hence the order.
    with console.interrupted_by_signals(), console.progress_bar() as bar, redirect_stdout(_Discard()):
        task = bar.add_task(description, total=max(total, 0))

        def show(report: BackfillReport, waiting: str) -> None:
            bar.update(task, completed=report.records)
            if waiting:
                bar.console.print(waiting, style="yellow", soft_wrap=True)

        try:
            # One file after the other, so that one batch can contain several small files.
            return work.run(chain.from_iterable(source.read(skip) for source in sources), show)
        except KeyboardInterrupt:
            stderr.print(f"Interrupted. {next_step(work.report)}", soft_wrap=True)
            raise typer.Exit(console.EXIT_INTERRUPTED) from None
        except CarouselSyncError as error:
            raise StoreUnavailable(f"{error} {next_step(work.report)}") from error


class _Discard(io.TextIOBase):
    """A stream that discards what is written to it, and that loggers may keep after the command."""

    def write(self, text: str) -> int:
        return len(text)


def continuation(report: BackfillReport, files: Sequence[Path], command: Callable[[Sequence[Path], int], str]) -> str:
    """Say how to continue a backfill of these files; ``command`` returns the command that skips a number of lines."""
    if report.settled is None:
        return f"To continue, repeat the command; stored sales are recognised as duplicates: {command(files, 0)}"
    path, number = report.settled
    text = f"All records up to line {number:,} of {path} are stored or rejected. To continue: {command([path], number)}"
    rest = files[files.index(path) + 1 :]
    return f"{text}, then {command(rest, 0)}" if rest else text


def _show(report: BackfillReport, next_step: NextStep, *, dry_run: bool) -> None:
    stored = {"Landed": report.landed, "Duplicates": report.duplicates, "Not stored yet": report.given_back}
    rejected = {f"Rejected: {reason}": number for reason, number in report.rejected.most_common()}
    numbers = {"Read": report.records, **({"Valid": report.valid} if dry_run else stored), **rejected}
    rows = [(name, f"{number:,}") for name, number in numbers.items()]
    show_table(("Records", Column("Number", Kind.NUMBER)), rows, stdout)
    _explain(report, next_step)
    if dry_run:
        _say("Nothing was written. Conflicting duplicates and too large items are found only in a real run.", "dim")


def _explain(report: BackfillReport, next_step: NextStep) -> None:
    for name, number in report.unknown_fields.most_common():
        _say(f"Field unknown to the event's contract, ignored: {name} ({number:,} records)", "dim")
    for example in report.examples:
        _say(f"{example['file']}, line {example['line']}: {example['reason']}: {example['detail']}", "red")
    if (more := report.rejected.total() - len(report.examples)) > 0:
        _say(f"... and {more:,} more rejected", "red")
    if any(example["detail"].startswith("time:") for example in report.examples):
        _say("Records without an event time need --time.", "yellow")
    for path in report.rejected_files:
        _say(f"Rejected records are in {path}", "yellow")
    for cause, number in report.causes.most_common():
        _say(f"{number:,} not stored: {cause}", "red")
    if report.stopped:
        _say(f"Stopped: {report.stopped}. {next_step(report)}", "red")
    elif report.given_back:
        _say(next_step(report), "yellow")


def _say(text: str, style: str) -> None:
    stdout.print(cell(text, style=style), soft_wrap=True)
