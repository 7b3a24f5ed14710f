"""``carousel-sync send``: one event, from a file, on the event bus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from carousel_sync.aws.event_bus import BusEvent, BusOption, EventBus, batches, bus_of, instant_of
from carousel_sync.aws.target import resolve
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    stdout,
)
from carousel_sync.events.json_text import member_as_written
from lambda_fn.errors import ConfigurationError


def send(
    event: Annotated[Path, typer.Argument(help="A file with one EventBridge event: an envelope with its detail.")],
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    bus: BusOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put one event on the event bus, as it stands in a file, and print the id that the bus gave it.

    The bus makes a new envelope: of the file's, source, detail-type, detail and time count. The detail is sent as it is
    written, so that an event that breaks the contract arrives just so.
    """
    with readable_errors():
        bus_event = read_event(event)
        target = resolve(stage, local)
        bus = bus or bus_of(target)
        for batch in batches([bus_event], lambda one: one.size_bytes):
            (event_id,) = EventBus(target.client("events"), bus).put(batch)
        if as_json:
            print_json(
                {"eventId": event_id, "bus": bus, "source": bus_event.source, "detailType": bus_event.detail_type}
            )
            return
        stdout.print(
            f"Sent {event} to event bus {bus} at {target}: event id {event_id}.", highlight=False, soft_wrap=True
        )


def read_event(path: Path) -> BusEvent:
    """Read an event's file. Raises ConfigurationError that says what is wrong with it; nothing was sent then."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise _unusable(path, f"it can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _unusable(path, f"it is not UTF-8 text: {error}") from error
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"it is not JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise _unusable(path, "it is not an object")
    for name in ("source", "detail-type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            raise _unusable(path, f"its {name!r} is missing or not a text")
    detail = member_as_written(text, "detail")
    if detail is None or not isinstance(envelope["detail"], dict):
        raise _unusable(path, "its 'detail' is missing or not an object, which is all that an event bus takes")
    return BusEvent(
        source=envelope["source"],
        detail_type=envelope["detail-type"],
        detail=detail,
        time=instant_of(envelope.get("time")),
    )


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} can't be sent: {why}. Nothing was sent. An event that works: examples/carousel-sold-event.json"
    )
