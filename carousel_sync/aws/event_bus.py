"""Putting events on the event bus, within the limits of PutEvents."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import constrained_batches

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import STACK_NAME, Target
from lambda_fn.errors import ConfigurationError, StoreUnavailable
from lambda_fn.runtime.retry import Clock, Deadline, Retry, SystemClock

# Amazon EventBridge User Guide, "Amazon EventBridge quotas" and "Calculating PutEvents event entry size".
ENTRIES_LIMIT: Final = 10
REQUEST_LIMIT_BYTES: Final = 1_000_000
TIME_BYTES: Final = 14

RETRY_SECONDS: Final = 30.0
_TRANSIENT_CODES: Final = frozenset({"InternalFailure", "InternalException", "ThrottlingException"})

Event = TypeVar("Event")


def bus_of(target: Target) -> str:
    """Return the name of the event bus that a stage receives events from: the stack's parameter EventBusName.

    Raises ConfigurationError when the stack does not exist or can't be read.
    """
    name = STACK_NAME.format(stage=target.stage)
    advice = "Nothing was sent. Check --stage and the region (AWS_REGION), or name the event bus: --bus NAME."
    try:
        bus = cloudformation.parameters(cloudformation.describe(target)).get("EventBusName")
    except (ClientError, BotoCoreError) as error:
        raise ConfigurationError(
            f"Stack {name} at {target} can't be read to find the event bus of stage {target.stage!r}: {error}. {advice}"
        ) from error
    if bus is None:
        raise ConfigurationError(f"There is no stack {name} with a parameter EventBusName at {target}. {advice}")
    return bus


@dataclass(frozen=True)
class BusEvent:
    """An event as PutEvents accepts it. ``detail`` is JSON text. The bus adds the envelope."""

    source: str
    detail_type: str
    detail: str
    time: datetime | None = None

    @classmethod
    def of(cls, envelope: Mapping[str, Any], detail: str) -> BusEvent:
        """Return the event in an envelope. ``detail`` is the envelope's detail as it is to be sent."""
        return cls(envelope["source"], envelope["detail-type"], detail, _instant(envelope.get("time")))

    @property
    def size_bytes(self) -> int:
        """The size that counts towards the limit of a request."""
        texts = (self.source, self.detail_type, self.detail)
        return sum(len(text.encode()) for text in texts) + (TIME_BYTES if self.time else 0)

    def entry(self, bus: str) -> dict[str, Any]:
        """Return the event as an entry of a PutEvents request."""
        names: dict[str, Any] = {"EventBusName": bus, "Source": self.source, "DetailType": self.detail_type}
        entry = {**names, "Detail": self.detail}
        return entry | {"Time": self.time.astimezone(UTC)} if self.time else entry


def batches(events: Iterable[Event], size_bytes: Callable[[Event], int]) -> Iterator[tuple[Event, ...]]:
    """Group events into batches that each fit into one request.

    Raises ConfigurationError for an event that is too large for a request.
    """

    def checked_size(event: Event) -> int:
        size = size_bytes(event)
        if size > REQUEST_LIMIT_BYTES:
            raise ConfigurationError(
                f"An event has {size:,} bytes, and the event bus accepts {REQUEST_LIMIT_BYTES:,} at most. The event "
                "was not sent."
            )
        return size

    return constrained_batches(events, REQUEST_LIMIT_BYTES, ENTRIES_LIMIT, checked_size)


class EventBus:
    """An event bus, given by its name."""

    def __init__(self, client: Any, name: str, clock: Clock | None = None) -> None:
        self._client = client
        self._name = name
        self._clock = clock or SystemClock()
        self._retry = Retry(self._clock, random.Random())  # noqa: S311 - spreads retries, keeps no secret

    def put(self, batch: Sequence[BusEvent]) -> list[str]:
        """Put one batch of events (see :func:`batches`) and return the event ids, in the order of the batch.

        Retries the entries that fail for a transient reason, for 30 seconds at most. Raises StoreUnavailable when some
        still fail then, and ConfigurationError when the bus refuses an event permanently. Either way, the other events
        of the batch may be on the bus.
        """
        ids: dict[int, str] = {}
        pending = dict(enumerate(batch))
        failure = "no response"
        for _ in self._retry.tries(Deadline.after(self._clock, RETRY_SECONDS), 0.0):
            for position, entry in zip([*pending], self._put_once([*pending.values()]), strict=True):
                if "EventId" in entry:
                    ids[position] = entry["EventId"]
                    del pending[position]
                    continue
                failure = f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}"
                if entry.get("ErrorCode") not in _TRANSIENT_CODES:
                    raise ConfigurationError(f"Event bus {self._name!r} refused an event: {failure}")
            if not pending:
                return [ids[position] for position in range(len(batch))]
        raise StoreUnavailable(
            f"Event bus {self._name!r} did not accept {len(pending)} of {len(batch)} events within "
            f"{RETRY_SECONDS:.0f} s (last error: {failure})."
        )

    def _put_once(self, events: Sequence[BusEvent]) -> list[dict[str, Any]]:
        try:
            response = self._client.put_events(Entries=[event.entry(self._name) for event in events])
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailable(f"Event bus {self._name!r} failed or refused the request: {error}") from error
        return list(response["Entries"])


def _instant(text: object) -> datetime | None:
    """Parse an ISO 8601 time with an offset. Returns None for anything else; the bus then sets the current time."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else None
