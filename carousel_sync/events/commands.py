"""``carousel-sync send`` and ``carousel-sync simulate``: events for the event bus, from a file or generated."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from carousel_sync.aws.buffer_queue import QueueDepth
from carousel_sync.aws.event_bus import BusEvent, EventBus, batches, bus_of
from carousel_sync.aws.listeners import refuse_to_reach_others
from carousel_sync.aws.target import Target
from carousel_sync.command_line import console
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.events.arrival import Arrival, Arrived, keys_of
from carousel_sync.events.event_file import read_event
from carousel_sync.events.generate import COUNT_LIMIT, TENANTS_LIMIT, Recipe, Role
from carousel_sync.events.simulation import Counts, send_all, write_all
from lambda_fn.errors import CarouselSyncError, StoreUnavailable
from lambda_fn.event import EMBEDDING_LIMIT, EVENT_SOURCE
from lambda_fn.sale import EVENT_TYPE, SaleKey

SEEDS: Final = 2**31
TENANTS_SHOWN: Final = 5
MOST_PER_SECOND: Final = 100_000

BusOption = Annotated[
    str | None, typer.Option(help="Name of the event bus. Default: the bus that the stage receives from.")
]


ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Send even if other rules on the bus, such as other stages', receive the events."),
]


def send(
    event: Annotated[Path, typer.Argument(help="A file with one EventBridge event: an envelope with its detail.")],
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    bus: BusOption = None,
    force: ForceOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Put one event from a file on the event bus, and print its event id.

    The bus creates a new envelope and keeps the source, detail-type, detail and time of the file's. The detail is sent
    exactly as it is written, even if it breaks the contract. Without --force, the command refuses to send to a bus on
    which another rule, such as another stage's, would receive the event, too.
    """
    with console.readable_errors():
        bus_event = read_event(event)
        target = resolve(stage, local)
        bus = bus or bus_of(target)
        if not force:
            refuse_to_reach_others(target, bus, bus_event)
        (batch,) = batches([bus_event], lambda event: event.size_bytes)
        (event_id,) = EventBus(target.client("events"), bus).put(batch)
    if as_json:
        console.print_json(
            {"eventId": event_id, "bus": bus, "source": bus_event.source, "detailType": bus_event.detail_type}
        )
    else:
        console.stdout.print(f"Sent {event} to event bus {bus} at {target}: event id {event_id}.", soft_wrap=True)


def simulate(
    count: Annotated[
        int, typer.Option(min=1, max=COUNT_LIMIT, help="Number of events, duplicates and invalid ones included.")
    ] = 100,
    tenants: Annotated[
        int, typer.Option(min=1, max=TENANTS_LIMIT, help="Number of tenants; the first has the most sales.")
    ] = 3,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of events that repeat a sale.")] = 0.1,
    invalid: Annotated[float, typer.Option(min=0, max=1, help="Share of events that must be rejected.")] = 0.02,
    embedding: Annotated[
        int, typer.Option(min=0, max=EMBEDDING_LIMIT, help="Values in each embedding; 0 for none.")
    ] = 1024,
    seed: Annotated[
        int | None, typer.Option(min=0, max=SEEDS, help="Makes the sales reproducible. Default: random.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="All sales are before this day. Default: today (UTC)."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=MOST_PER_SECOND, help="Average number of events per second. Default: as fast as possible."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the events to this file, one per line, instead of sending them.")
    ] = None,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    bus: BusOption = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until every sale is stored and the stage's queue is empty.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, max=86_400, help="With --wait: the longest time to wait, in seconds.")
    ] = 120.0,
    force: ForceOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Put generated sales on the event bus, and print how many were sent.

    The same --seed and --until generate the same sales. Sent again, they are recognised as duplicates. Without --force,
    the command refuses to send to a bus on which another rule, such as another stage's, would receive them, too.

    With --wait, exit code 0 means that every sale has its row and its look-up item, and 1 that some have not within
    --timeout. With direct delivery, duplicates and invalid events may still be on their way then.
    """
    if wait and out is not None:
        raise typer.BadParameter("--wait is for events that are sent; --out writes them to a file")
    arrived = None
    with console.readable_errors():
        recipe = Recipe(
            count=count,
            seed=secrets.randbelow(SEEDS) if seed is None else seed,
            until=(until or datetime.now(UTC)).date(),
            tenants=tenants,
            duplicates=duplicates,
            invalid=invalid,
            embedding=embedding,
        )
        if out is None:
            target = resolve(stage, local)
            bus = bus or bus_of(target)
            if not force:
                refuse_to_reach_others(target, bus, BusEvent(EVENT_SOURCE, EVENT_TYPE, "{}"))
            arrival = Arrival(target) if wait else None
            counts, keys = _send(recipe, EventBus(target.client("events"), bus), rate)
            result = f"sent to event bus {bus} at {target}"
            if arrival:
                arrived = _wait(arrival, keys, timeout, recipe)
        else:
            counts = _write(recipe, out)
            result = f"written to {out}"
    if as_json:
        console.print_json(counts.as_json(recipe) | ({"wait": arrived.as_json()} if arrived else {}))
    else:
        console.stdout.print(f"{counts.events} events {result}", soft_wrap=True)
        _show(counts, recipe)
    if arrived:
        _judge(arrived, target, recipe)


def _send(recipe: Recipe, bus: EventBus, rate: float | None) -> tuple[Counts, list[SaleKey]]:
    """Send the events. Returns the counts, and the keys of the sales."""
    counts, keys = Counts(), []
    try:
        with console.progress_bar() as progress:
            task = progress.add_task("Sending events", total=recipe.count)
            for batch in send_all(recipe, bus, rate):
                counts.add(*batch)
                keys += keys_of(batch)
                progress.advance(task, len(batch))
    except KeyboardInterrupt:
        console.stderr.print(_how_to_resume(recipe, counts), soft_wrap=True)
        raise
    except CarouselSyncError as error:
        raise StoreUnavailable(f"{error} {_how_to_resume(recipe, counts)}") from error
    return counts, keys


def _wait(arrival: Arrival, keys: Sequence[SaleKey], timeout: float, recipe: Recipe) -> Arrived:
    console.stderr.print(f"Waiting until {len(keys)} sales are stored and the queue is empty, {timeout:.0f} s at most.")
    left_behind = f"All events are on the bus, and are processed without this command. {_how_to_repeat(recipe)}"
    with console.reporting(lambda: left_behind), console.progress_bar() as progress:
        task = progress.add_task("Storing sales", total=len(keys))

        def on_poll(found: Arrived) -> None:
            progress.update(task, completed=found.stored, description=f"Storing sales; {_in_queue(found.queue)}")

        return arrival.wait(keys, timeout, on_poll)


def _judge(arrived: Arrived, target: Target, recipe: Recipe) -> None:
    """Print how the waiting ended. Raises typer.Exit with code 1 if the time ran out."""
    if arrived.complete:
        text = f"All {arrived.sales} sales are stored and the queue is empty, after {arrived.seconds:.0f} s."
        console.stderr.print(text)
        return
    console.stderr.print(
        f"After {arrived.seconds:.0f} s, {arrived.stored} of {arrived.sales} sales are stored; "
        f"{_in_queue(arrived.queue)}. No event is lost: what is not stored yet is delivered again, or becomes a dead "
        f"letter. To see why it takes longer: {console.command_for(target, 'doctor')}. {_how_to_repeat(recipe)}",
        soft_wrap=True,
    )
    raise typer.Exit(console.EXIT_FAILED)


def _in_queue(depth: QueueDepth) -> str:
    return f"queue: {depth.waiting} waiting, {depth.in_flight} being processed"


def _write(recipe: Recipe, path: Path) -> Counts:
    counts = Counts()
    with console.progress_bar() as progress:
        for event in progress.track(write_all(recipe, path), total=recipe.count, description="Writing events"):
            counts.add(event)
    return counts


def _how_to_resume(recipe: Recipe, counts: Counts) -> str:
    return (
        f"At least {counts.events} of {recipe.count} events are on the bus. To send the rest, run the same command "
        f"with --seed {recipe.seed} --until {recipe.until}: events that are sent twice are recognised as duplicates."
    )


def _how_to_repeat(recipe: Recipe) -> str:
    return (
        f"To wait again, run the same command with --seed {recipe.seed} --until {recipe.until}: events that are sent "
        "twice are recognised as duplicates."
    )


def _show(counts: Counts, recipe: Recipe) -> None:
    rows = [
        ("Distinct valid sales", str(counts.roles[Role.SALE])),
        ("Duplicates of them", str(counts.roles[Role.DUPLICATE])),
        ("Invalid", str(counts.roles[Role.INVALID])),
        *((f"  {defect}", str(number)) for defect, number in counts.defects.most_common()),
    ]
    show_table(("Events", Column("Number", Kind.NUMBER)), rows, console.stdout)
    tenants = ", ".join(f"{name} {number}" for name, number in counts.tenants.most_common(TENANTS_SHOWN))
    more = " ..." if len(counts.tenants) > TENANTS_SHOWN else ""
    console.stdout.print(f"Sales by tenant: {tenants}{more}")
    console.stdout.print(f"To generate the same sales again: --seed {recipe.seed} --until {recipe.until}", style="dim")
