"""``carousel-sync dlq``: list and show dead letters, and send their events back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    EXIT_FAILED,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    reporting,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.command_line.stage import resolve
from carousel_sync.dead_letters.formatting import pretty, printable
from carousel_sync.dead_letters.queue import find, scanning, state_of
from carousel_sync.dead_letters.redrive import Redrive, Redriven, Selection

DETAIL_CHARACTERS: Final = 100
LETTERS_SHOWN: Final = 50

app = typer.Typer(no_args_is_help=True, help="List events that could not be processed, and send them back.")

ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", help="Only letters with this reason. Can be repeated.")
]


@dataclass(frozen=True)
class Summary:
    """A letter without its body."""

    id: str
    reason: str
    detail: str
    first_seen: str


@app.command(name="list")
def list_letters(
    reason: ReasonOption = None,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count the letters by reason. With --reason, list them.

    While the command runs, the letters are hidden from other readers. They are visible again when it ends.
    """
    with readable_errors(), reporting(_nothing):
        target = resolve(stage, local)
        hidden = state_of(target).hidden
        letters: list[Summary] = []
        with working_on(f"Reading {target.settings.dead_letter_queue_url}"), scanning(target) as scan:
            for batch in scan.batches():
                letters += [
                    Summary(letter.message_id, letter.reason, letter.detail, letter.first_seen) for letter in batch
                ]
    reasons = _upper(reason)
    selected = sorted(
        (letter for letter in letters if not reasons or letter.reason in reasons), key=lambda letter: letter.first_seen
    )
    if as_json:
        print_json(_list_as_json(selected, hidden, complete=scan.complete))
        return
    if selected and reasons:
        _print_letters(selected)
    elif selected:
        _print_reasons(selected, target)
    elif letters:
        stdout.print(f"No dead letter has the reason {' or '.join(sorted(reasons))}.")
    else:
        stdout.print("The dead-letter queue is empty.")
    if not scan.complete:
        stderr.print("There are more letters than can be read in five minutes: these are the first.", style="yellow")
    _warn_of_hidden(hidden)


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="The letter's id, as dlq list prints it.")],
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print one letter: its attributes and its complete body."""
    with readable_errors(), reporting(_nothing):
        target = resolve(stage, local)
        with working_on(f"Looking for {message_id}"):
            letter = find(target, message_id)
    if as_json:
        print_json(
            {
                "id": letter.message_id,
                "reason": letter.reason,
                "detail": letter.detail,
                "first_seen": letter.first_seen,
                "attributes": dict(letter.attributes),
                "system": dict(letter.system),
                "body": letter.body,
            }
        )
        return
    fields = {"id": letter.message_id, "reason": letter.reason, "detail": letter.detail, "firstSeen": letter.first_seen}
    others = {name: text for name, text in letter.attributes.items() if name not in fields}
    for name, text in {**fields, **others}.items():
        stdout.print(Text.assemble((f"{name:<10} ", "bold"), printable(text)), soft_wrap=True)
    stdout.print()
    stdout.print(printable(pretty(letter.body)), markup=False, highlight=False, soft_wrap=True)


@app.command()
def redrive(
    reason: ReasonOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Send at most this many events.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the events that would be sent.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send events back to the buffer queue, to be processed again.

    It can be interrupted and repeated at any time: an event is deleted here only after the buffer queue has accepted
    it, and a sale that is already stored is recognised as a duplicate. An event that is rejected again comes back here.
    """
    with readable_errors():
        target = resolve(stage, local)
        hidden = state_of(target).hidden
        work = Redrive(target, Selection(_upper(reason), limit, dry_run))
        with reporting(lambda: _left_behind(work.result, dry_run)), working_on("Sending dead letters back"):
            result = work.run()
    if as_json:
        print_json(_redriven_as_json(result, hidden, dry_run=dry_run))
    else:
        _print_redriven(result, target, dry_run=dry_run)
        _warn_of_hidden(hidden)
    if result.refused or result.not_deleted:
        raise typer.Exit(EXIT_FAILED)


def _nothing() -> str:
    return "Nothing was changed."


def _left_behind(result: Redriven, dry_run: bool) -> str:
    if dry_run:
        return _nothing()
    return (
        f"{result.sent.total():,} events were sent back, and possibly up to ten more, which may still be in the "
        "dead-letter queue as well. All others are where they were. To continue, run the same command again: events "
        "that are sent twice are recognised as duplicates."
    )


# --- text ------------------------------------------------------------------------------------------------------------


def _print_reasons(letters: Sequence[Summary], target: Target) -> None:
    table = Table("Reason")
    table.add_column("Letters", justify="right")
    for name in ("Oldest first seen", "Example", "Example's detail"):
        table.add_column(name, no_wrap=name == "Example", overflow="fold")
    for reason, members in sorted(_by_reason(letters).items()):
        oldest = members[0]
        detail = Text(printable(_shortened(oldest.detail)))
        table.add_row(Text(printable(reason)), f"{len(members):,}", oldest.first_seen, oldest.id, detail)
    stdout.print(table, highlight=False)
    for purpose, command in (("To print a letter", "show ID"), ("To send the events back", "redrive")):
        stdout.print(
            f"{purpose}: carousel-sync dlq {command} {target.flags}", style="dim", highlight=False, soft_wrap=True
        )


def _print_letters(letters: Sequence[Summary]) -> None:
    table = Table()
    # Never shortened: dlq show needs the complete id.
    table.add_column("Id", no_wrap=True)
    for name in ("Reason", "First seen", "Detail"):
        table.add_column(name, overflow="fold")
    for letter in letters[:LETTERS_SHOWN]:
        texts = (Text(printable(letter.reason)), letter.first_seen, Text(printable(_shortened(letter.detail))))
        table.add_row(letter.id, *texts)
    stdout.print(table, highlight=False)
    if len(letters) > LETTERS_SHOWN:
        stdout.print(f"... and {len(letters) - LETTERS_SHOWN:,} more. For all of them, use --json.")


def _print_redriven(result: Redriven, target: Target, *, dry_run: bool) -> None:
    number = result.sent.total()
    verb = "would be sent" if dry_run else "sent"
    reasons = f": {_counted(result.sent)}" if number else ""
    stdout.print(f"{number:,} {verb} back to the queue{reasons}", highlight=False)
    if result.kept:
        stdout.print(f"Not sent, because they have other reasons: {_counted(result.kept)}", highlight=False)
    if result.newer:
        stdout.print(
            f"Not sent, because they arrived meanwhile: {result.newer:,}. Look at them before you send them: "
            f"carousel-sync dlq list {target.flags}",
            highlight=False,
            soft_wrap=True,
        )
    if result.not_deleted:
        stderr.print(
            f"{len(result.not_deleted):,} were sent but could not be deleted from the dead-letter queue. This is "
            "harmless: run the same command again, and their sales are recognised as duplicates.",
            style="yellow",
        )
    for message_id, problem in list(result.refused.items())[:LETTERS_SHOWN]:
        stderr.print(
            f"{message_id} was not sent and stays in the dead-letter queue: {printable(problem)}",
            style="red",
            markup=False,
            soft_wrap=True,
        )


def _warn_of_hidden(hidden: int) -> None:
    if hidden:
        stderr.print(
            f"About {hidden:,} letters were hidden when this command started: somebody else is reading the queue, or "
            "such a command was killed. They become visible again within five minutes.",
            style="yellow",
        )


def _counted(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))


def _shortened(detail: str) -> str:
    return detail if len(detail) <= DETAIL_CHARACTERS else f"{detail[:DETAIL_CHARACTERS]}..."


# --- JSON ------------------------------------------------------------------------------------------------------------


def _list_as_json(letters: Sequence[Summary], hidden: int, *, complete: bool) -> dict[str, Any]:
    reasons = [
        {"reason": reason, "count": len(members), "oldest": members[0].first_seen, "example": vars(members[0])}
        for reason, members in sorted(_by_reason(letters).items())
    ]
    return {
        "total": len(letters),
        "hidden": hidden,
        "complete": complete,
        "reasons": reasons,
        "letters": [vars(letter) for letter in letters],
    }


def _redriven_as_json(result: Redriven, hidden: int, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "sent": result.sent.total(),
        "sent_by_reason": dict(result.sent),
        "kept_by_reason": dict(result.kept),
        "arrived_meanwhile": result.newer,
        "not_deleted": result.not_deleted,
        "refused": result.refused,
        "hidden": hidden,
        "complete": result.complete,
    }


def _by_reason(letters: Sequence[Summary]) -> dict[str, list[Summary]]:
    """Group letters by reason, in unchanged order."""
    groups: dict[str, list[Summary]] = {}
    for letter in letters:
        groups.setdefault(letter.reason, []).append(letter)
    return groups


def _upper(reasons: Sequence[str] | None) -> frozenset[str]:
    return frozenset(reason.strip().upper() for reason in reasons or ())
