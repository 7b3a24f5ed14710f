"""``carousel-sync dlq``: list and show dead letters, and send their events back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Annotated, Final

import typer
from more_itertools import map_reduce
from rich.text import Text

from carousel_sync.aws.buffer_queue import depth
from carousel_sync.aws.target import Target
from carousel_sync.command_line import console
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.command_line.text import cell, emphasised
from carousel_sync.dead_letters.formatting import pretty
from carousel_sync.dead_letters.queue import find, not_found, scanning
from carousel_sync.dead_letters.redrive import Redrive, Redriven, Selection

CHARACTERS_SHOWN: Final = 100
LETTERS_SHOWN: Final = 50
UNCHANGED: Final = "Nothing was changed."

app = typer.Typer(no_args_is_help=True, help="List events that could not be processed, and send them back.")

ReasonOption = Annotated[list[str] | None, typer.Option(help="Only letters with this reason. Can be repeated.")]


Summary = Mapping[str, str]
"""See :attr:`Letter.summary`."""


@app.command(name="list")
def list_letters(
    reason: ReasonOption = None,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Count the letters by reason. With --reason, list them.

    While the command runs, the letters are hidden from other readers. They are visible again when it ends.
    """
    with console.readable_errors(), console.reporting(lambda: UNCHANGED):
        target = resolve(stage, local)
        hidden = _hidden(target)
        with console.working_on(f"Reading {target.settings.dead_letter_queue_url}"), scanning(target) as scan:
            letters = [letter.summary for batch in scan.batches() for letter in batch]
    reasons = _upper(reason)
    selected = [letter for letter in letters if not reasons or letter["reason"] in reasons]
    selected.sort(key=itemgetter("first_seen"))
    by_reason = sorted(map_reduce(selected, itemgetter("reason")).items())
    if as_json:
        groups = [
            {"reason": reason, "count": len(members), "oldest": members[0]["first_seen"], "example": members[0]}
            for reason, members in by_reason
        ]
        totals = {"total": len(selected), "hidden": hidden, "complete": scan.complete}
        console.print_json({**totals, "reasons": groups, "letters": selected})
        return
    if selected and reasons:
        _print_letters(selected)
    elif selected:
        _print_reasons(by_reason, target)
    elif letters:
        console.stdout.print(f"No dead letter has the reason {' or '.join(sorted(reasons))}.")
    else:
        console.stdout.print("The dead-letter queue is empty.")
    if not scan.complete:
        console.stderr.print(
            "There are more letters than can be read in five minutes: these are the first.", style="yellow"
        )
    _warn_of_hidden(hidden)


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="The letter's id, as dlq list prints it.")],
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Print one letter: its attributes and its complete body."""
    with console.readable_errors(), console.reporting(lambda: UNCHANGED):
        target = resolve(stage, local)
        with console.working_on(f"Looking for {message_id}"):
            letter = find(target, message_id)
    if as_json:
        details = {"attributes": dict(letter.attributes), "system": dict(letter.system), "body": letter.body}
        console.print_json({**letter.summary, **details})
        return
    fields = {"id": letter.message_id, "reason": letter.reason, "detail": letter.detail, "firstSeen": letter.first_seen}
    others = {name: text for name, text in letter.attributes.items() if name not in fields}
    for name, text in {**fields, **others}.items():
        console.stdout.print(emphasised(f"{name:<10} ", text), soft_wrap=True)
    console.stdout.print()
    console.stdout.print(pretty(letter.body), soft_wrap=True)


@app.command()
def redrive(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Send only the letters with these ids.")
    ] = None,
    reason: ReasonOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Send at most this many events.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the events that would be sent.")] = False,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Send events back to the buffer queue, to be processed again: those with the ids, or with the reasons, or all.

    It can be interrupted and repeated at any time: an event is deleted here only after the buffer queue has accepted
    it, and a sale that is already stored is recognised as a duplicate. An event that is rejected again comes back here.
    """
    if ids and (reason or limit):
        raise typer.BadParameter("Give either ids, or --reason and --limit.", param_hint="ID")
    with console.readable_errors():
        target = resolve(stage, local)
        hidden = _hidden(target)
        work = Redrive(target, Selection(_upper(reason), limit, dry_run, frozenset(ids or ())))
        with (
            console.reporting(lambda: _left_behind(work.result, dry_run)),
            console.working_on("Sending dead letters back"),
        ):
            result = work.run()
    if as_json:
        document = {
            "dry_run": dry_run,
            "sent": result.sent.total(),
            "sent_by_reason": dict(result.sent),
            "kept_by_reason": dict(result.kept),
            "arrived_meanwhile": result.newer,
            "not_deleted": result.not_deleted,
            "refused": result.refused,
            "unknown": result.unknown,
            "hidden": hidden,
            "complete": result.complete,
        }
        console.print_json(document)
    else:
        _print_redriven(result, target, dry_run=dry_run)
        _warn_of_hidden(hidden)
    if result.refused or result.not_deleted or result.unknown:
        raise typer.Exit(console.EXIT_FAILED)


def _hidden(target: Target) -> int:
    return depth(target, target.settings.dead_letter_queue_url).in_flight


def _left_behind(result: Redriven, dry_run: bool) -> str:
    if dry_run:
        return UNCHANGED
    return (
        f"{result.sent.total():,} events were sent back, and possibly up to ten more, which may still be in the "
        "dead-letter queue as well. All others are where they were. To continue, run the same command again: events "
        "that are sent twice are recognised as duplicates."
    )


def _print_reasons(by_reason: Sequence[tuple[str, Sequence[Summary]]], target: Target) -> None:
    detail = Column("Example's detail", Kind.PROSE)
    columns = ("Reason", Column("Letters", Kind.NUMBER), "Oldest first seen", "Example", detail)
    rows = [
        (reason, f"{len(members):,}", members[0]["first_seen"], members[0]["id"], _shortened(members[0]["detail"]))
        for reason, members in by_reason
    ]
    show_table(columns, rows, console.stdout)
    for purpose, command in (("To print a letter", "show ID"), ("To send the events back", "redrive")):
        hint = f"{purpose}: carousel-sync dlq {command} {target.flags}"
        console.stdout.print(hint, style="dim", soft_wrap=True)


def _print_letters(letters: Sequence[Summary]) -> None:
    columns = ("Id", "Reason", "First seen", Column("Detail", Kind.PROSE))
    rows = [
        (letter["id"], letter["reason"], letter["first_seen"], _shortened(letter["detail"]))
        for letter in letters[:LETTERS_SHOWN]
    ]
    show_table(columns, rows, console.stdout)
    if len(letters) > LETTERS_SHOWN:
        console.stdout.print(f"... and {len(letters) - LETTERS_SHOWN:,} more. For all of them, use --json.")


def _print_redriven(result: Redriven, target: Target, *, dry_run: bool) -> None:
    number = result.sent.total()
    verb = "would be sent" if dry_run else "sent"
    reasons = f": {_counted(result.sent)}" if number else ""
    console.stdout.print(f"{number:,} {verb} back to the queue{reasons}")
    if result.kept:
        console.stdout.print(f"Not sent, because they have other reasons: {_counted(result.kept)}")
    if result.newer:
        console.stdout.print(
            f"Not sent, because they arrived meanwhile: {result.newer:,}. Look at them before you send them: "
            f"carousel-sync dlq list {target.flags}",
            soft_wrap=True,
        )
    if result.not_deleted:
        console.stderr.print(
            f"{len(result.not_deleted):,} were sent but could not be deleted from the dead-letter queue. This is "
            "harmless: run the same command again, and their sales are recognised as duplicates.",
            style="yellow",
        )
    for message_id, problem in list(result.refused.items())[:LETTERS_SHOWN]:
        console.stderr.print(
            f"{message_id} was not sent and stays in the dead-letter queue: {problem}",
            style="red",
            soft_wrap=True,
        )

    for message_id in result.unknown:
        console.stderr.print(not_found(message_id, target), style="red", soft_wrap=True)


def _warn_of_hidden(hidden: int) -> None:
    if hidden:
        console.stderr.print(
            f"About {hidden:,} letters were hidden when this command started: somebody else is reading the queue, or "
            "such a command was killed. They become visible again within five minutes.",
            style="yellow",
        )


def _counted(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))


def _shortened(detail: str) -> Text:
    return cell(detail, CHARACTERS_SHOWN)


def _upper(reasons: Sequence[str] | None) -> frozenset[str]:
    return frozenset(reason.strip().upper() for reason in reasons or ())
