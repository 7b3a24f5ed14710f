"""Puts events on the event bus, within the limits of PutEvents, and until the bus has taken every one of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import constrained_batches

from carousel_sync.aws.target import STACK_NAME, Target
from lambda_fn.errors import ConfigurationError, StoreUnavailable
from lambda_fn.runtime.retry import Clock, Deadline, Retry, SystemClock

# Amazon EventBridge User Guide, "Amazon EventBridge quotas" and "Calculating PutEvents event entry size".
ENTRIES_LIMIT: Final = 10
REQUEST_LIMIT_BYTES: Final = 1_000_000
TIME_BYTES: Final = 14

RETRY_SECONDS: Final = 30.0
_TRANSIENT_CODES: Final = frozenset({"InternalFailure", "InternalException", "ThrottlingException"})

BusOption = Annotated[
    str | None, typer.Option("--bus", help="Name of the event bus. Default: the one that the stage listens to.")
]

Event = TypeVar("Event")


def bus_of(target: Target) -> str:
    """Return the event bus that a stage listens to: the deployed stack's parameter EventBusName.

    Raises ConfigurationError when the stack is not there or can't be read.
    """
    stack = STACK_NAME.format(stage=target.stage)
    try:
        (found,) = target.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        parameters = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}
        return str(parameters["EventBusName"])
    except (ClientError, BotoCoreError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"Which event bus stage {target.stage!r} listens to can't be read from stack {stack} at {target}: {error}. "
            "Nothing was sent. Check --stage and the region (AWS_REGION), or name the bus: --bus NAME."
        ) from error


@dataclass(frozen=True)
class BusEvent:
    """An event as the bus takes it: ``detail`` is JSON text, and the bus makes the envelope."""

    source: str
    detail_type: str
    detail: str
    time: datetime | None = None

    @property
    def size_bytes(self) -> int:
        """Size by PutEvents' own rule."""
        texts = (self.source, self.detail_type, self.detail)
        return sum(len(text.encode()) for text in texts) + (TIME_BYTES if self.time else 0)

    def entry(self, bus: str) -> dict[str, Any]:
        """Return the event in PutEvents' notation."""
        entry: dict[str, Any] = {
            "EventBusName": bus,
            "Source": self.source,
            "DetailType": self.detail_type,
            "Detail": self.detail,
        }
        return entry | {"Time": self.time.astimezone(UTC)} if self.time else entry


def batches(events: Iterable[Event], size_bytes: Callable[[Event], int]) -> Iterator[tuple[Event, ...]]:
    """Group events so that each group fits into one request.

    Raises ConfigurationError for an event that is too large for any request; the groups before it were yielded.
    """

    def checked_size(event: Event) -> int:
        size = size_bytes(event)
        if size > REQUEST_LIMIT_BYTES:
            raise ConfigurationError(
                f"An event of {size:,} bytes is too large for the event bus: {REQUEST_LIMIT_BYTES:,} at most."
            )
        return size

    return constrained_batches(events, REQUEST_LIMIT_BYTES, ENTRIES_LIMIT, checked_size)


class EventBus:
    """An event bus, by its name."""

    def __init__(self, client: Any, name: str, clock: Clock | None = None) -> None:
        self._client = client
        self._name = name
        self._clock = clock or SystemClock()
        self._retry = Retry(self._clock, random.Random())  # noqa: S311 - spreads retries, keeps no secret

    def put(self, batch: Sequence[BusEvent]) -> list[str]:
        """Put one group of events (see :func:`batches`) and return the ids that the bus gave them, in their order.

        Entries that the bus could not take are sent again, for at most half a minute. Raises StoreUnavailable when
        some are left then, and ConfigurationError when the bus refuses one for good; the others are on the bus.
        """
        ids: list[str] = [""] * len(batch)
        pending = list(range(len(batch)))
        answer = "no answer"
        for _ in self._retry.tries(Deadline.after(self._clock, RETRY_SECONDS), 0.0):
            entries = self._put_once([batch[position] for position in pending])
            refused: list[int] = []
            for position, entry in zip(pending, entries, strict=True):
                if "EventId" in entry:
                    ids[position] = entry["EventId"]
                    continue
                answer = f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}"
                if entry.get("ErrorCode") not in _TRANSIENT_CODES:
                    raise ConfigurationError(f"Event bus {self._name!r} refuses an event: {answer}")
                refused.append(position)
            pending = refused
            if not pending:
                return ids
        raise StoreUnavailable(
            f"Event bus {self._name!r} did not take {len(pending)} of {len(batch)} events in {RETRY_SECONDS:.0f} s "
            f"(last answer: {answer})."
        )

    def _put_once(self, events: Sequence[BusEvent]) -> list[dict[str, Any]]:
        try:
            answer = self._client.put_events(Entries=[event.entry(self._name) for event in events])
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailable(f"Event bus {self._name!r} can't be reached or refuses: {error}") from error
        return list(answer["Entries"])


def instant_of(text: object) -> datetime | None:
    """Read an envelope's time; None when it is no ISO 8601 instant, and the bus puts the present one."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else None
