"""``carousel-sync simulate``: realistic sales, with duplicates and invalid ones among them, on the event bus."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.table import Table

from carousel_sync.aws.event_bus import BusEvent, BusOption, EventBus, batches, bus_of, instant_of
from carousel_sync.aws.target import resolve
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    progress_bar,
    readable_errors,
    stderr,
    stdout,
)
from carousel_sync.events.generate import GeneratedEvent, Kind, Recipe, generate
from lambda_fn.errors import CarouselSyncError, ConfigurationError, StoreUnavailable
from lambda_fn.runtime.retry import Clock, SystemClock

SEEDS: Final = 2**31


@dataclass
class Sent:
    """What was sent, or written."""

    sales: int = 0
    duplicates: int = 0
    invalid: int = 0
    invalid_kinds: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)

    @property
    def events(self) -> int:
        """All of them."""
        return self.sales + self.duplicates + self.invalid

    def add(self, event: GeneratedEvent) -> None:
        """Count an event."""
        if event.kind is Kind.SALE:
            self.sales += 1
            self.tenants[event.envelope["detail"]["tenantId"]] += 1
        elif event.kind is Kind.DUPLICATE:
            self.duplicates += 1
        else:
            self.invalid += 1
            self.invalid_kinds[str(event.invalid_kind)] += 1

    def as_json(self, recipe: Recipe) -> dict[str, Any]:
        """Return the counts, and what reproduces them."""
        return {
            "events": self.events,
            "sales": self.sales,
            "duplicates": self.duplicates,
            "invalid": self.invalid,
            "invalid_kinds": dict(self.invalid_kinds),
            "tenants": dict(self.tenants.most_common()),
            "seed": recipe.seed,
            "until": recipe.until.isoformat(),
        }


def simulate(
    count: Annotated[
        int, typer.Option("--count", help="Number of events, duplicates and invalid ones included.")
    ] = 100,
    tenants: Annotated[int, typer.Option("--tenants", help="Number of tenants; the first sells most.")] = 3,
    duplicates: Annotated[float, typer.Option("--duplicates", help="Share of events that repeat a sale.")] = 0.1,
    invalid: Annotated[float, typer.Option("--invalid", help="Share of events that have to be rejected.")] = 0.02,
    embedding: Annotated[int, typer.Option("--embedding", help="Values in each embedding; 0 for none.")] = 1024,
    seed: Annotated[int | None, typer.Option("--seed", help="Makes the sales reproducible. Default: random.")] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="All sales are before this day. Default: today (UTC)."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, help="Events a second, on average. Default: as fast as it goes.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the events to this file, one in a line, instead of sending them."),
    ] = None,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    bus: BusOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put generated sales on the event bus, and print how many of what.

    The same --seed and --until give the same sales: sent again they are recognised, and nothing is stored twice.
    """
    with readable_errors():
        recipe = Recipe(
            count=count,
            seed=secrets.randbelow(SEEDS) if seed is None else seed,
            until=_today() if until is None else until.date(),
            tenants=tenants,
            duplicates=duplicates,
            invalid=invalid,
            embedding=embedding,
        )
        if out is None:
            target = resolve(stage, local)
            bus = bus or bus_of(target)
            sent = send_all(recipe, EventBus(target.client("events"), bus), rate)
            where = f"sent to event bus {bus} at {target}"
        else:
            sent = write_all(recipe, out)
            where = f"written to {out}"
        if as_json:
            print_json(sent.as_json(recipe))
        else:
            _show(sent, recipe, where)


def send_all(recipe: Recipe, bus: EventBus, rate: float | None = None, clock: Clock | None = None) -> Sent:
    """Put the events on the bus, with a progress bar; ``rate`` is in events a second, on average.

    When it is interrupted or fails, the batches before are on the bus; the error says how to send the rest.
    """
    sent = Sent()
    clock = clock or SystemClock()
    started = clock.monotonic()
    try:
        with progress_bar() as progress:
            task = progress.add_task("Sending events", total=recipe.count)
            events = ((event, _bus_event(event)) for event in generate(recipe))
            for batch in batches(events, lambda pair: pair[1].size_bytes):
                bus.put([bus_event for _, bus_event in batch])
                for event, _ in batch:
                    sent.add(event)
                progress.advance(task, len(batch))
                if rate is not None and sent.events < recipe.count:
                    clock.sleep(max(0.0, started + sent.events / rate - clock.monotonic()))
    except KeyboardInterrupt:
        stderr.print(_how_to_go_on(recipe, sent), highlight=False, soft_wrap=True)
        raise
    except CarouselSyncError as error:
        raise StoreUnavailable(f"{error} {_how_to_go_on(recipe, sent)}") from error
    return sent


def write_all(recipe: Recipe, path: Path) -> Sent:
    """Write the events as JSON lines. Raises ConfigurationError when the file can't be written; it may be cut short."""
    sent = Sent()
    try:
        with path.open("wb") as file, progress_bar() as progress:
            task = progress.add_task("Writing events", total=recipe.count)
            for event in generate(recipe):
                file.write(orjson.dumps(event.envelope, option=orjson.OPT_APPEND_NEWLINE))
                sent.add(event)
                progress.advance(task)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}. It holds {sent.events} of {recipe.count} events."
        ) from error
    return sent


def _bus_event(event: GeneratedEvent) -> BusEvent:
    envelope = event.envelope
    return BusEvent(
        source=envelope["source"],
        detail_type=envelope["detail-type"],
        detail=orjson.dumps(envelope["detail"]).decode(),
        time=instant_of(envelope["time"]),
    )


def _how_to_go_on(recipe: Recipe, sent: Sent) -> str:
    return (
        f"{sent.events} of {recipe.count} events are on the bus for certain. To send the rest, run the same command "
        f"with --seed {recipe.seed} --until {recipe.until}: what was sent already is recognised as a duplicate."
    )


def _show(sent: Sent, recipe: Recipe, where: str) -> None:
    stdout.print(f"{sent.events} events {where}", highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("Events")
    table.add_column("Number", justify="right")
    table.add_row("Distinct valid sales", str(sent.sales), style="bold")
    table.add_row("Duplicates of them", str(sent.duplicates))
    table.add_row("Invalid", str(sent.invalid))
    for name, number in sent.invalid_kinds.most_common():
        table.add_row(f"  {name}", str(number), style="dim")
    stdout.print(table)
    tenants = ", ".join(f"{name} {number}" for name, number in sent.tenants.most_common(5))
    stdout.print(f"Sales by tenant: {tenants}{' ...' if len(sent.tenants) > 5 else ''}", highlight=False)  # noqa: PLR2004
    stdout.print(f"The same sales again: --seed {recipe.seed} --until {recipe.until}", highlight=False, style="dim")


def _today() -> date:
    return datetime.now(UTC).date()
