"""``carousel-sync dlq``: what is in the dead-letter queue, and the way back from it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
import typer
from rich.table import Table
from rich.text import Text

from carousel_sync.aws.target import Target, resolve
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    EXIT_FAILED,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.dead_letters.letters import Letter
from carousel_sync.dead_letters.queue import Redrive, Redriven, Wanted, looking_through, state_of
from lambda_fn.errors import CarouselSyncError

EXIT_INTERRUPTED: Final = 130
DETAIL_CHARACTERS: Final = 100
LETTERS_FOR_PEOPLE: Final = 50

_LIST_OF_SCALARS: Final = re.compile(r'\[[^\[\]{}"]*\]')
_LINE_BREAK: Final = re.compile(r"\s*\n\s*")

app = typer.Typer(no_args_is_help=True, help="Events that could not be processed: look at them, send them back.")

ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", help="Only letters with this reason; can be given several times.")
]


class LetterNotFound(CarouselSyncError):
    """No letter with the id could be seen."""


@dataclass(frozen=True)
class Summary:
    """A letter without its body."""

    id: str
    reason: str
    detail: str
    first_seen: str


@app.callback()
def dlq() -> None:
    """Events that could not be processed: look at them, send them back."""


@app.command(name="list")
def list_letters(
    reason: ReasonOption = None,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count the letters by reason; with --reason, list them one by one.

    While it looks, letters are hidden from other readers; all of them are visible again when it ends.
    """
    with readable_errors(), _interruptible("Nothing was changed."):
        target = resolve(stage, local)
        hidden = state_of(target).hidden
        letters: list[Summary] = []
        with working_on(f"Looking through {target.settings.dead_letter_queue_url}"), looking_through(target) as look:
            for group in look.groups():
                letters += [Summary(one.message_id, one.reason, one.detail, one.first_seen) for one in group]
    wanted = _upper(reason)
    shown = sorted((one for one in letters if not wanted or one.reason in wanted), key=lambda one: one.first_seen)
    if as_json:
        print_json(_as_json(shown, hidden, complete=look.complete))
        return
    if shown and wanted:
        _print_letters(shown)
    elif shown:
        _print_reasons(shown)
    else:
        stdout.print("There are no such dead letters." if letters else "The dead-letter queue is empty.")
    if not look.complete:
        stderr.print("The queue holds more than can be looked at in one go: these are the first ones.", style="yellow")
    _tell_hidden(hidden)


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="A letter's id, from dlq list.")],
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print one letter whole: its attributes and its body, with every value in it."""
    with readable_errors(), _interruptible("Nothing was changed."):
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
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Send so many at most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send events back to the buffer queue, to be processed again.

    Safe to interrupt and to repeat at any moment: an event is deleted here only once the buffer queue has it, and a
    sale that is stored already is recognised as a duplicate. What is rejected again comes back here.
    """
    with readable_errors():
        target = resolve(stage, local)
        hidden = state_of(target).hidden
        with working_on("Sending dead letters back"):
            work = Redrive(target, Wanted(_upper(reason), limit, dry_run))
            with _interruptible("", work.done), _accounted_for(work.done):
                done = work.run()
    if as_json:
        print_json(_redriven_as_json(done, hidden, dry_run=dry_run))
    else:
        _print_redriven(done, dry_run=dry_run)
        _tell_hidden(hidden)
    if done.refused or done.stuck:
        raise typer.Exit(EXIT_FAILED)


def find(target: Target, message_id: str) -> Letter:
    """Return a letter by its id. Raises LetterNotFound."""
    hidden = state_of(target).hidden
    with looking_through(target) as look:
        for group in look.groups():
            for letter in group:
                if letter.message_id == message_id:
                    return letter
    elsewhere = f" {hidden} letters are hidden, because somebody else is looking at them." if hidden else ""
    raise LetterNotFound(
        f"There is no dead letter with the id {message_id} to be seen.{elsewhere} It may have been sent back, or have "
        "expired after 14 days. The ids that are there: carousel-sync dlq list --json"
    )


def pretty(body: str) -> str:
    """Return JSON indented, its numbers as they stand, lists of numbers on one line; anything else as it is."""
    try:
        number: Any = orjson.Fragment
        document = json.loads(body, parse_float=number, parse_int=number, parse_constant=number)
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    except (ValueError, TypeError, RecursionError):
        return body
    return _LIST_OF_SCALARS.sub(lambda match: _LINE_BREAK.sub(" ", match[0]), text)


def printable(text: str) -> str:
    """Return the text with control characters spelled out: a terminal would obey them."""
    return "".join(
        character if character in "\n\t" or unicodedata.category(character)[0] != "C" else f"\\u{ord(character):04x}"
        for character in text
    )


# --- for people ------------------------------------------------------------------------------------------------------


def _print_reasons(letters: Sequence[Summary]) -> None:
    table = Table("Reason")
    table.add_column("Letters", justify="right")
    for name in ("Oldest first seen", "Example", "Example's detail"):
        table.add_column(name, no_wrap=name == "Example", overflow="fold")
    for reason, members in sorted(_by_reason(letters).items()):
        oldest = members[0]
        detail = Text(printable(_shortened(oldest.detail)))
        table.add_row(Text(printable(reason)), f"{len(members):,}", oldest.first_seen, oldest.id, detail)
    stdout.print(table, highlight=False)
    stdout.print("One of them: carousel-sync dlq show ID. Back to the queue: carousel-sync dlq redrive", style="dim")


def _print_letters(letters: Sequence[Summary]) -> None:
    table = Table()
    # Never cut short: it is what dlq show asks for.
    table.add_column("Id", no_wrap=True)
    for name in ("Reason", "First seen", "Detail"):
        table.add_column(name, overflow="fold")
    for one in letters[:LETTERS_FOR_PEOPLE]:
        table.add_row(one.id, Text(printable(one.reason)), one.first_seen, Text(printable(_shortened(one.detail))))
    stdout.print(table, highlight=False)
    if len(letters) > LETTERS_FOR_PEOPLE:
        stdout.print(f"... and {len(letters) - LETTERS_FOR_PEOPLE:,} more; --json lists all of them")


def _print_redriven(done: Redriven, *, dry_run: bool) -> None:
    number = done.sent.total()
    verb = "would be sent" if dry_run else "sent"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(done.sent.items()))
    stdout.print(f"{number:,} {verb} back to the queue{f': {reasons}' if reasons else ''}", highlight=False)
    if done.kept:
        kept = ", ".join(f"{reason} {count:,}" for reason, count in sorted(done.kept.items()))
        stdout.print(f"Left where they are, of other reasons: {kept}", highlight=False)
    if done.newer:
        stdout.print(f"Arrived meanwhile: {done.newer:,}. Look at what arrived before sending it, too.")
    if done.stuck:
        stderr.print(
            f"{len(done.stuck):,} were sent and could not be deleted from the dead-letter queue. That harms nothing: "
            "run the command again; their sales are recognised as duplicates.",
            style="yellow",
        )
    for message_id, why in list(done.refused.items())[:LETTERS_FOR_PEOPLE]:
        stderr.print(
            f"{message_id} was not sent and stays here: {printable(why)}", style="red", markup=False, soft_wrap=True
        )


def _tell_hidden(hidden: int) -> None:
    if hidden:
        stderr.print(
            f"About {hidden:,} letters were hidden when this began: somebody else is looking through the queue, or a "
            "look was ended by force. They can be seen again within five minutes.",
            style="yellow",
        )


def _shortened(detail: str) -> str:
    return detail if len(detail) <= DETAIL_CHARACTERS else f"{detail[:DETAIL_CHARACTERS]}..."


# --- for programs ----------------------------------------------------------------------------------------------------


def _as_json(letters: Sequence[Summary], hidden: int, *, complete: bool) -> dict[str, Any]:
    reasons = [
        {"reason": reason, "count": len(members), "oldest": members[0].first_seen, "example": vars(members[0])}
        for reason, members in sorted(_by_reason(letters).items())
    ]
    return {
        "total": len(letters),
        "hidden": hidden,
        "complete": complete,
        "reasons": reasons,
        "letters": [vars(one) for one in letters],
    }


def _redriven_as_json(done: Redriven, hidden: int, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "sent": done.sent.total(),
        "sent_by_reason": dict(done.sent),
        "kept_by_reason": dict(done.kept),
        "arrived_meanwhile": done.newer,
        "not_deleted": done.stuck,
        "refused": done.refused,
        "hidden": hidden,
        "complete": done.complete,
    }


def _by_reason(letters: Sequence[Summary]) -> dict[str, list[Summary]]:
    """Group the letters, which are in the order of their age, by reason."""
    found: dict[str, list[Summary]] = {}
    for one in letters:
        found.setdefault(one.reason, []).append(one)
    return found


def _upper(reasons: Sequence[str] | None) -> frozenset[str]:
    return frozenset(reason.strip().upper() for reason in reasons or ())


@contextmanager
def _interruptible(what: str, done: Redriven | None = None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        stderr.print(f"Interrupted. {what or _so_far(done or Redriven())}", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


@contextmanager
def _accounted_for(done: Redriven) -> Iterator[None]:
    """Tell how far it came before an error ended it."""
    try:
        yield
    except Exception:
        stderr.print(_so_far(done), highlight=False, soft_wrap=True)
        raise


def _so_far(done: Redriven) -> str:
    return (
        f"{done.sent.total():,} events were sent back for certain, and up to ten more perhaps; the last ones may "
        "still be in the dead-letter queue, too. Everything else is where it was. Run the command again to go on: what "
        "is sent twice is recognised as a duplicate."
    )
