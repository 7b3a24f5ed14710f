"""``carousel-sync backfill``: sales of the past, from files, through the same exactly-once path as events."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from carousel_sync.aws.target import Target
from carousel_sync.backfill.landing import Backfill, Backfilled, application_of, forget_rejected, through
from carousel_sync.backfill.records import Record, RecordFile
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    EXIT_FAILED,
    JsonOption,
    LocalOption,
    StageOption,
    interrupted_by_signals,
    print_json,
    progress_bar,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.command_line.stage import resolve
from lambda_fn.errors import CarouselSyncError, ConfigurationError, StoreUnavailable

EXIT_INTERRUPTED: Final = 130
BATCH_SIZE: Final = 500
# A batch has to be landed within the time of one invocation.
BATCH_SIZE_LIMIT: Final = 10_000


def backfill(
    files: Annotated[
        list[Path],
        typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON lines or Parquet (docs/backfill.md)."),
    ],
    event_time: Annotated[
        str | None,
        typer.Option(
            "--time",
            help="Time of the event for records that tell none, such as 2026-01-31T00:00:00Z.",
            metavar="INSTANT",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, max=BATCH_SIZE_LIMIT, help="Sales in one commit.")
    ] = BATCH_SIZE,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, help="Sales a second, on average. Default: as fast as it goes.")
    ] = None,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Leave out so many lines or rows of the file.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check every record; writes nothing.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Load sales of the past from files: events, their details, or rows of the table; each ends as exactly one row.

    Safe to interrupt and to repeat at any moment: what is stored already is recognised as a duplicate. A rejected
    record is kept in FILE.rejected.jsonl, beside the file, with its reason. Exit code 0: all are stored; 1: some were
    rejected or could not be stored; 2: the command or a file makes no sense, and nothing was written.
    """
    sources = _sources(files, event_time, skip)
    with readable_errors():
        if dry_run:
            done = _carry_out(Backfill(None, batch_size=batch_size), sources, skip, "Checking records")
        else:
            done = _land(resolve(stage, local), sources, batch_size, rate, skip)
    if as_json:
        print_json(_as_json(done, dry_run=dry_run))
    else:
        _show(done, dry_run=dry_run)
    if not done.complete:
        raise typer.Exit(EXIT_FAILED)


def _sources(files: Sequence[Path], event_time: str | None, skip: int) -> list[RecordFile]:
    """Open the files. Raises typer.BadParameter for what makes no sense."""
    if skip and len(files) > 1:
        raise typer.BadParameter("--skip counts lines of one file: give that file alone, and the others after it")
    if len({file.resolve() for file in files}) < len(files):
        raise typer.BadParameter("a file is named twice")
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


def _land(target: Target, sources: Sequence[RecordFile], batch_size: int, rate: float | None, skip: int) -> Backfilled:
    """Land the records of all files. Raises TableMissing before anything was written, if there is no table."""
    target.load_table()
    if not skip:
        forget_rejected([source.path for source in sources])
    # The function's log is for CloudWatch; what a person needs of it is in the results.
    with contextlib.redirect_stdout(_Nowhere()), application_of(target) as application:
        work = Backfill(through(application), batch_size=batch_size, rate=rate)
        return _carry_out(work, sources, skip, f"Landing sales at {target}")


def _carry_out(work: Backfill, sources: Sequence[RecordFile], skip: int, description: str) -> Backfilled:
    with working_on("Counting records"):
        total = sum(source.count() for source in sources) - skip
    try:
        with interrupted_by_signals(), progress_bar() as progress, contextlib.redirect_stdout(_Nowhere()):
            task = progress.add_task(description, total=max(total, 0))

            def told(done: Backfilled, waiting: str) -> None:
                progress.update(task, completed=done.records)
                if waiting:
                    progress.console.print(waiting, style="yellow", markup=False, highlight=False, soft_wrap=True)

            work.told = told
            return work.run(_records(sources, skip))
    except KeyboardInterrupt:
        stderr.print(f"Interrupted. {_how_to_go_on(work.done)}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except CarouselSyncError as error:
        raise StoreUnavailable(f"{error} {_how_to_go_on(work.done)}") from error


def _records(sources: Sequence[RecordFile], skip: int) -> Iterator[Record]:
    """Yield the records of one file after the other, so that a batch may hold those of many small files."""
    for source in sources:
        yield from source.read(skip)


class _Nowhere(io.TextIOBase):
    """Takes a text and forgets it."""

    def write(self, text: str) -> int:
        return len(text)


def _how_to_go_on(done: Backfilled) -> str:
    if done.settled is None:
        return "Run the same command again: what is stored is recognised as a duplicate."
    path, number = done.settled
    return (
        f"Everything up to line {number:,} of {path} is done with. Run the same command again: what is stored is "
        f"recognised as a duplicate. It is quicker to begin with that file alone and --skip {number}."
    )


# --- results ---------------------------------------------------------------------------------------------------------


def _as_json(done: Backfilled, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "records": done.records,
        "valid": done.valid,
        "landed": done.landed,
        "duplicates": done.duplicates,
        "rejected": dict(done.rejected),
        "rejected_examples": done.examples,
        "rejected_files": done.rejected_files,
        "given_back": done.given_back,
        "causes": dict(done.causes),
        "unknown_fields": dict(done.unknown_fields),
        "stopped": done.stopped,
    }


def _show(done: Backfilled, *, dry_run: bool) -> None:
    table = Table("Records")
    table.add_column("Number", justify="right")
    table.add_row("Read", f"{done.records:,}", style="bold")
    if dry_run:
        table.add_row("Valid", f"{done.valid:,}")
    else:
        table.add_row("Landed", f"{done.landed:,}")
        table.add_row("Duplicates", f"{done.duplicates:,}")
        table.add_row("Not stored yet", f"{done.given_back:,}")
    for reason, number in done.rejected.most_common():
        table.add_row(f"Rejected: {reason}", f"{number:,}")
    stdout.print(table, highlight=False)
    _explain(done)
    if dry_run:
        _say(
            "Nothing was written. Only the stores can tell conflicting duplicates and items that are too large.", "dim"
        )


def _explain(done: Backfilled) -> None:
    for name, number in done.unknown_fields.most_common():
        _say(f"Unknown to the event's contract, and left out: {name} ({number:,} records)", "dim")
    for one in done.examples:
        _say(f"{one['file']}, line {one['line']}: {one['reason']}: {one['detail']}", "red")
    if (more := done.rejected.total() - len(done.examples)) > 0:
        _say(f"... and {more:,} more rejected", "red")
    if any(one["detail"].startswith("time:") for one in done.examples):
        _say("Records that tell no time of their event need --time.", "yellow")
    for path in done.rejected_files:
        _say(f"Rejected records are kept in {path}", "yellow")
    for cause, number in done.causes.most_common():
        _say(f"{number:,} not stored: {cause}", "red")
    if done.stopped:
        _say(f"Stopped: {done.stopped}. {_how_to_go_on(done)}", "red")
    elif done.given_back:
        _say("Run the same command again: what is stored is recognised as a duplicate.", "yellow")


def _say(text: str, style: str) -> None:
    stdout.print(Text(text, style=style), soft_wrap=True)
