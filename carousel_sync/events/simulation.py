"""Sending generated events to the event bus, or writing them to a file, and counting them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from carousel_sync.aws.event_bus import BusEvent, EventBus, batches
from carousel_sync.events.generate import GeneratedEvent, Recipe, Role, event_bytes, generate
from lambda_fn.errors import ConfigurationError
from lambda_fn.runtime.retry import Clock, SystemClock


@dataclass
class Counts:
    """How many events were sent or written, by role; the invalid ones by defect, and the sales by tenant."""

    roles: Counter[Role] = field(default_factory=Counter)
    defects: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)

    @property
    def events(self) -> int:
        """The number of events in all."""
        return self.roles.total()

    def add(self, *events: GeneratedEvent) -> None:
        """Count these events."""
        for event in events:
            self.roles[event.role] += 1
            if event.role is Role.SALE:
                self.tenants[event.envelope["detail"]["tenantId"]] += 1
            if event.defect:
                self.defects[event.defect] += 1

    def as_json(self, recipe: Recipe) -> dict[str, Any]:
        """Return the counts with the seed and the date that reproduce the events."""
        return {
            "events": self.events,
            "sales": self.roles[Role.SALE],
            "duplicates": self.roles[Role.DUPLICATE],
            "invalid": self.roles[Role.INVALID],
            "invalid_kinds": dict(self.defects),
            "tenants": dict(self.tenants.most_common()),
            "seed": recipe.seed,
            "until": recipe.until.isoformat(),
        }


def send_all(
    recipe: Recipe, bus: EventBus, rate: float | None = None, clock: Clock | None = None
) -> Iterator[Sequence[GeneratedEvent]]:
    """Put the events on the bus, and yield each batch once the bus has accepted it.

    ``rate`` is the average number of events per second; None sends as fast as possible. Raises what
    :meth:`EventBus.put` raises; the batches yielded before are on the bus.
    """
    clock = clock or SystemClock()
    started, sent = clock.monotonic(), 0
    events = (
        (event, BusEvent.of(event.envelope, orjson.dumps(event.envelope["detail"]).decode()))
        for event in generate(recipe)
    )
    for batch in batches(events, lambda pair: pair[1].size_bytes):
        bus.put([bus_event for _, bus_event in batch])
        yield [event for event, _ in batch]
        sent += len(batch)
        if rate is not None and sent < recipe.count:
            clock.sleep(max(0.0, started + sent / rate - clock.monotonic()))


def write_all(recipe: Recipe, path: Path) -> Iterator[GeneratedEvent]:
    """Write the events to a file as JSON Lines, and yield each one once it is written.

    Raises ConfigurationError when the disk is too small for the events, and leaves the file as it is. Also raises it
    when the file can't be written, which may then hold a part of the events.
    """
    written = 0
    try:
        needed, free = recipe.count * event_bytes(recipe), shutil.disk_usage(path.parent).free
        if needed > free and (path.is_file() or not path.exists()):
            raise ConfigurationError(
                f"{path} needs about {needed:,} bytes, and its disk has {free:,} free. Give a smaller --count or "
                "--embedding. Nothing was written."
            )
        with path.open("wb") as file:
            for event in generate(recipe):
                file.write(orjson.dumps(event.envelope, option=orjson.OPT_APPEND_NEWLINE))
                written += 1
                yield event
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}. It holds up to {written} of {recipe.count} events; delete it, "
            "or run the command again to overwrite it."
        ) from error
