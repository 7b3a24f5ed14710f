"""``carousel-sync dlq``: list and show dead letters, send their events back, and discard them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Final

import typer
from more_itertools import map_reduce
from rich.text import Text

from carousel_sync.aws.buffer_queue import depth
from carousel_sync.aws.target import Target
from carousel_sync.command_line import console
from carousel_sync.command_line.files import require_writable
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.command_line.text import cell, emphasised
from carousel_sync.dead_letters.discard import Chosen, Discard, Discarded, choose
from carousel_sync.dead_letters.formatting import pretty
from carousel_sync.dead_letters.letters import REASONS, RETRY_HELPS
from carousel_sync.dead_letters.queue import find, not_found, scanning
from carousel_sync.dead_letters.redrive import Redrive, Redriven, Selection

CHARACTERS_SHOWN: Final = 100
LETTERS_SHOWN: Final = 50
MOST_LETTERS: Final = 10**9
UNCHANGED: Final = "Nothing was changed."

app = typer.Typer(no_args_is_help=True, help="List, send back and discard events that could not be processed.")

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
    _refuse_unknown(reasons, {letter["reason"] for letter in letters})
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
        console.print_json(letter.document)
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
    limit: Annotated[int | None, typer.Option(min=1, max=MOST_LETTERS, help="Send at most this many events.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the events that would be sent.")] = False,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Send events back to the buffer queue, to be processed again.

    Without ids and --reason, these are the events that a retry can store: GAVE_UP, NOT_DELIVERED and FUNCTION_FAILED.
    Letters that you name are sent whatever they are.

    It can be interrupted and repeated at any time: an event is deleted here only after the buffer queue has accepted
    it, and a sale that is already stored is recognised as a duplicate. An event that is rejected again comes back here.
    """
    if ids and (reason or limit):
        raise typer.BadParameter("Give either ids, or --reason and --limit.", param_hint="ID")
    with console.readable_errors():
        target = resolve(stage, local)
        hidden = _hidden(target)
        reasons = _upper(reason)
        selected = frozenset[str]() if ids else reasons or RETRY_HELPS
        work = Redrive(target, Selection(selected, limit, dry_run, frozenset(ids or ())))
        with (
            console.reporting(lambda: _left_behind(work.result, dry_run)),
            console.working_on("Sending dead letters back"),
        ):
            result = work.run()
    _refuse_unknown(reasons, result.sent.keys() | result.kept.keys())
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
        _print_redriven(result, target, dry_run=dry_run, by_default=not reasons)
        _warn_of_hidden(hidden)
    if result.refused or result.not_deleted or result.unknown:
        raise typer.Exit(console.EXIT_FAILED)


@app.command()
def discard(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Delete the letters with these ids.")
    ] = None,
    reason: ReasonOption = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="New file for the copies, as JSON lines. Default: dead-letters-STAGE-TIME.jsonl."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Delete letters for good: those with the ids, or with the reasons. Keeps a copy of each in a file.

    A letter is deleted only after its copy is on disk. Letters that arrive after the question stay. Exit code 0: the
    letters are deleted; 1: one was not found or could not be deleted; 3: the question was declined.
    """
    if bool(ids) == bool(reason):
        raise typer.BadParameter("Give either ids or --reason.", param_hint="ID")
    reasons = _upper(reason)
    with console.readable_errors():
        target = resolve(stage, local)
        path = keep or Path(f"dead-letters-{target.stage}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl")
        require_writable(path, new=True)
        with console.reporting(lambda: UNCHANGED), console.working_on("Reading the dead-letter queue"):
            chosen = choose(target, frozenset(ids or ()), reasons)
        _refuse_unknown(reasons, {*chosen.reasons.values(), *chosen.others})
        work = Discard(target, frozenset(chosen.reasons), path)
        if chosen.reasons:
            _print_chosen(chosen, path)
            console.confirm("To delete these letters for good, type yes", "yes", yes)
            with console.reporting(lambda: _copied(work.result, path)), console.working_on("Deleting dead letters"):
                work.run()
    if as_json:
        console.print_json({**vars(work.result), "unknown": chosen.unknown, "copies": str(path)})
    else:
        _print_discarded(work.result, chosen, path, target)
    if chosen.unknown or work.result.not_deleted or work.result.gone:
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
    hints = {
        "To list the letters with a reason": console.command_for(target, "dlq", "list", "--reason", by_reason[0][0]),
        "To print a letter": console.command_for(target, "dlq", "show", arguments=[by_reason[0][1][0]["id"]]),
    }
    if any(reason in RETRY_HELPS for reason, _ in by_reason):
        hints["To send back the events that a retry can store"] = console.command_for(target, "dlq", "redrive")
    for purpose, command in hints.items():
        console.stdout.print(f"{purpose}: {command}", style="dim", soft_wrap=True)


def _print_letters(letters: Sequence[Summary]) -> None:
    columns = ("Id", "Reason", "First seen", Column("Detail", Kind.PROSE))
    rows = [
        (letter["id"], letter["reason"], letter["first_seen"], _shortened(letter["detail"]))
        for letter in letters[:LETTERS_SHOWN]
    ]
    show_table(columns, rows, console.stdout)
    if len(letters) > LETTERS_SHOWN:
        console.stdout.print(f"... and {len(letters) - LETTERS_SHOWN:,} more. For all of them, use --json.")


def _print_redriven(result: Redriven, target: Target, *, dry_run: bool, by_default: bool) -> None:
    number = result.sent.total()
    verb = "would be sent" if dry_run else "sent"
    reasons = f": {_counted(result.sent)}" if number else ""
    console.stdout.print(f"{number:,} {verb} back to the queue{reasons}")
    if result.kept and by_default:
        first = min(result.kept)
        console.stdout.print(
            f"Not sent, because a retry alone does not mend them: {_counted(result.kept)}. To send those of a reason "
            f"all the same: {console.command_for(target, 'dlq', 'redrive', '--reason', first)}",
            soft_wrap=True,
        )
    elif result.kept:
        console.stdout.print(f"Not sent, because they have other reasons: {_counted(result.kept)}", soft_wrap=True)
    if result.newer:
        console.stdout.print(
            f"Not sent, because they arrived meanwhile: {result.newer:,}. Look at them before you send them: "
            f"{console.command_for(target, 'dlq', 'list')}",
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


def _print_chosen(chosen: Chosen, path: Path) -> None:
    console.stderr.print(f"To be deleted for good: {_counted(Counter(chosen.reasons.values()))}", soft_wrap=True)
    console.stderr.print(f"Their copies will be in {path}", soft_wrap=True)
    if not chosen.complete:
        console.stderr.print("There are more letters than could be read. Run the command again for the others.")


def _print_discarded(result: Discarded, chosen: Chosen, path: Path, target: Target) -> None:
    if result.deleted:
        console.stdout.print(f"Deleted: {_counted(result.deleted)}. The copies are in {path}", soft_wrap=True)
    else:
        console.stdout.print("No letter was deleted.")
    for message_id in result.not_deleted:
        left = f"{message_id} could not be deleted, and is still in the queue. Run the command again."
        console.stderr.print(left, style="red", soft_wrap=True)
    for message_id in [*chosen.unknown, *result.gone]:
        console.stderr.print(not_found(message_id, target), style="red", soft_wrap=True)


def _copied(result: Discarded, path: Path) -> str:
    return (
        f"{result.deleted.total():,} letters were deleted, and possibly up to ten more. Every deleted letter has a "
        f"copy in {path}. The others are still in the queue."
    )


def _refuse_unknown(reasons: frozenset[str], found: Collection[str]) -> None:
    """Refuse a reason that neither this version nor any letter has. Another version may have written the letter."""
    if unknown := sorted(reasons - REASONS - set(found)):
        raise typer.BadParameter(
            f"{', '.join(unknown)}: neither a reason code nor the reason of a letter. Reason codes: "
            f"{', '.join(sorted(REASONS))}",
            param_hint="--reason",
        )


def _warn_of_hidden(hidden: int) -> None:
    if hidden:
        console.stderr.print(
            f"About {hidden:,} letters were hidden when this command started: somebody else is reading the queue, or "
            "such a command was killed. They become visible again within five minutes.",
            style="yellow",
        )


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))


def _shortened(detail: str) -> Text:
    return cell(detail, CHARACTERS_SHOWN)


def _upper(reasons: Sequence[str] | None) -> frozenset[str]:
    return frozenset(reason.strip().upper() for reason in reasons or ())
