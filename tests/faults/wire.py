"""Faults on the wire: real invocations against the emulator, of which chosen requests fail.

A round is an event or a batch that is delivered under faults, and then without, until it is acknowledged; each delivery
finds the leases of the one before lapsed. After each delivery both stores are read. Whoever handles the events is a
parameter, so that the same rounds catch a naive writer.

    python -m tests.faults.wire                                   every request, every kind of fault
    python -m tests.faults.wire --all-pairs --seconds 600         pairs of faults over two deliveries, in random order
"""

from __future__ import annotations

import json
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from functools import cached_property
from typing import Any, Final, Protocol

from lambda_fn.errors import CarouselSyncError
from lambda_fn.runtime.retry import Clock
from lambda_fn.sale import Sale
from lambda_fn.wiring import build
from testbed.emulator import REGION
from tests import builders
from tests.faults.harness.fault_proxy import Fault, FaultProxy, Invocation, Policy, at, no_fault
from tests.faults.harness.figures import Figures
from tests.faults.harness.kinds import DELIVERIES_HELD
from tests.faults.harness.world import Context, ShiftedClock, World

REQUEST_SECONDS: Final = 0.3
"""How long a request may take before its client gives up, where requests are failed."""
PATIENT_REQUEST_SECONDS: Final = 1.5
INVOCATION_SECONDS: Final = 20.0
LAPSE_SECONDS: Final = 10 * INVOCATION_SECONDS
"""How far the clock is put forward for each delivery: beyond every lease."""
SHORT_PAUSES: Final = 0.1
"""Between two tries the function waits for a tenth of the time, where nothing but the order of requests matters."""
CLEAN_DELIVERIES: Final = 4
"""Without faults one is enough; a machine that is short of time may need another."""
OVERTAKEN_BEFORE: Final = Fault("overtaken before the request is sent")
OVERTAKEN_AFTER: Final = Fault("overtaken before the answer is read")

_LONG_AGO: Final = date(2019, 5, 17)
_POISON: Final = "poison"


class Handler(Protocol):
    """What is under test: an event in, an answer out."""

    def handle(self, event: Any, context: Any) -> Mapping[str, Any]:
        """Process an SQS batch or one EventBridge event."""
        ...


Subject = Callable[[World, str, float, Clock], Handler]
"""Makes a handler, as a fresh process would: its world, the endpoint, how long a request may take, the clock."""


def carousel_sync(world: World, endpoint: str, request_seconds: float, clock: Clock) -> Handler:
    """Make the function of this project, by its own composition root."""
    return build(world.settings(endpoint, request_seconds), clock)


class Shape(Enum):
    """What is delivered."""

    BATCH = "batch"
    """An SQS batch: a few sales, one of them again, and an event that can't be a sale."""
    DIRECT = "direct"
    """One EventBridge event."""
    EXPIRED = "expired"
    """One event of a sale so old that only a scan of the table can tell whether it has landed."""


@dataclass
class Round:
    """What is delivered until it is acknowledged, and how far that is."""

    tenant: str
    shape: Shape
    size: int = 2
    faults: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)

    @cached_property
    def sales(self) -> list[Sale]:
        size = self.size if self.shape is Shape.BATCH else 1
        return [builders.sale(tenant_id=self.tenant, sale_id=f"sale-{number}") for number in range(1, size + 1)]

    @property
    def poison(self) -> str:
        """The body of the event that can't be a sale."""
        return f"{_POISON} {self.tenant}"

    @cached_property
    def event(self) -> dict[str, Any]:
        sold = {"soldDate": _LONG_AGO.isoformat()} if self.shape is Shape.EXPIRED else {}
        events = [builders.event(tenantId=self.tenant, saleId=sale.sale_id, **sold) for sale in self.sales]
        if self.shape is not Shape.BATCH:
            return events[0]
        bodies = {sale.sale_id: json.dumps(event) for sale, event in zip(self.sales, events, strict=True)}
        messages = {**bodies, "again": json.dumps(events[0]), _POISON: self.poison}
        return {"Records": [_record(name, body) for name, body in messages.items()]}

    def acknowledge(self, answer: Mapping[str, Any]) -> None:
        """Take note of an answer."""
        if self.shape is Shape.BATCH:
            given_back = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            names = {record["messageId"] for record in self.event["Records"]}
            self.acknowledged |= names - given_back
        else:
            assert answer["statusCode"] == 200, answer
            self.acknowledged.add(self.sales[0].sale_id)

    @property
    def poison_is_acknowledged(self) -> bool:
        """Whether the event that can't be a sale was acknowledged."""
        return _POISON in self.acknowledged

    @property
    def is_done(self) -> bool:
        """Whether everything was acknowledged."""
        return {sale.sale_id for sale in self.sales} <= self.acknowledged and (
            self.shape is not Shape.BATCH or {"again", _POISON} <= self.acknowledged
        )


class Bench:
    """Plays rounds with one subject in one world, and keeps the figures."""

    def __init__(
        self,
        world: World,
        proxy: FaultProxy,
        subject: Subject = carousel_sync,
        *,
        invocation_seconds: float = INVOCATION_SECONDS,
        pause_factor: float = SHORT_PAUSES,
    ) -> None:
        self.world = world
        self.proxy = proxy
        self.figures = Figures()
        self.slowest_seconds = 0.0
        self._subject = subject
        self._invocation_seconds = invocation_seconds
        self._clock = ShiftedClock(pause_factor)
        self._rounds: list[Round] = []
        self._started = time.monotonic()

    def cold(self, request_seconds: float = REQUEST_SECONDS) -> Handler:
        """Return a fresh handler, whose requests pass the proxy."""
        return self._subject(self.world, self.proxy.url, request_seconds, self._clock)

    @cached_property
    def warm(self) -> Handler:
        """A handler that lives as long as the bench, whose requests pass the proxy."""
        return self.cold()

    @cached_property
    def elsewhere(self) -> Handler:
        """A handler that lives as long as the bench, and meets no faults."""
        return self._subject(self.world, self.world.endpoint, PATIENT_REQUEST_SECONDS, self._clock)

    def round(self, shape: Shape, size: int = 2) -> Round:
        """Begin a round, with sales of its own."""
        started = Round(f"tenant-{uuid.uuid4().hex[:12]}", shape, size)
        self._rounds.append(started)
        self._clock.shift_seconds = 0.0
        self.figures.sales += len(started.sales)
        return started

    def deliver(self, current: Round, handler: Handler, policy: Policy = no_fault) -> Invocation:
        """Deliver all of a round's events once, and take note of the answer."""
        self._clock.shift_seconds += LAPSE_SECONDS
        invocation = self.proxy.begin(policy)
        began = time.monotonic()
        try:
            current.acknowledge(handler.handle(current.event, Context(self._invocation_seconds)))
        except CarouselSyncError:
            pass  # The event is delivered again.
        except Exception as error:  # noqa: BLE001, RUF100 (what a naive writer raises is its own affair)
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.figures.escaped.append(f"{current.tenant}: {error!r} at {where.filename}:{where.lineno}")
        seconds = time.monotonic() - began
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if seconds > self._invocation_seconds:
            self.figures.overtime.append(f"{current.tenant}: {seconds:.1f} s")
        self.figures.deliveries += 1
        return invocation

    def play(self, current: Round, faults: Sequence[tuple[int, Fault]], handlers: Sequence[Handler]) -> list[int]:
        """Play a round: a delivery for each fault, then clean ones. Returns how many requests each of the first made.

        A fault is the number of a request and what happens to it.
        """
        held: list[tuple[int, Invocation]] = []
        numbers: list[int] = []
        for delivery, ((number, fault), handler) in enumerate(zip(faults, handlers, strict=True), start=1):
            invocation = self.deliver(current, handler, at(number, fault))
            self._note_faults(current, invocation)
            numbers.append(len(invocation.requests))
            held.append((delivery + DELIVERIES_HELD.get(fault, 1) - 1, invocation))
            self._settle(held, delivery)
            self.check(current)
        self.finish(current, held)
        return numbers

    def play_overtaken(self, current: Round, number: int, fault: Fault, handler: Handler) -> Invocation:
        """Play a round in which a delivery stops at one request, another one does everything, and the first goes on."""

        def overtake() -> None:
            self._clock.shift_seconds += LAPSE_SECONDS
            current.acknowledge(self.elsewhere.handle(current.event, Context(INVOCATION_SECONDS)))
            self.figures.deliveries += 1

        stopped = replace(fault, before=overtake) if fault is OVERTAKEN_BEFORE else replace(fault, after=overtake)
        invocation = self.deliver(current, handler, at(number, stopped))
        self._note_faults(current, invocation)
        self.check(current)
        self.finish(current, [])
        return invocation

    def finish(self, current: Round, held: list[tuple[int, Invocation]], handler: Handler | None = None) -> None:
        """Deliver without faults until everything is acknowledged, and check what is stored."""
        before = len(held)
        for clean in range(1, CLEAN_DELIVERIES + 1):
            self.deliver(current, handler or self.elsewhere)
            self._settle(held, before + clean)
            self.check(current)
            if current.is_done and not held:
                break
        if not current.is_done:
            self._report(self.figures.stuck, current, "round")
        self.figures.seconds = time.monotonic() - self._started

    def check(self, current: Round) -> None:
        """Read the stores: no sale has two rows, and what was acknowledged has everything."""
        for sale_id, stored in self.world.stored(current.sales).items():
            if stored.rows > 1:
                self._report(self.figures.doubled, current, sale_id)
            # The item of a sale that expired long ago is not written again.
            has_item = stored.items == 1 or current.shape is Shape.EXPIRED
            complete = stored.rows >= 1 and has_item and stored.completed
            if sale_id in current.acknowledged and not complete:
                self._report(self.figures.lost, current, f"{sale_id} {stored}")

    def check_letters(self) -> None:
        """Every rejected event that was acknowledged is in the dead-letter queue."""
        letters = self.world.letters()
        for played in self._rounds:
            if played.poison_is_acknowledged and played.poison not in letters:
                self._report(self.figures.lost, played, _POISON)

    def _settle(self, held: list[tuple[int, Invocation]], delivery: int) -> None:
        """Let the requests arrive that were held until this delivery."""
        for due in [entry for entry in held if entry[0] <= delivery]:
            due[1].settle()
            held.remove(due)

    def _note_faults(self, current: Round, invocation: Invocation) -> None:
        self.figures.faults += len(invocation.injected)
        current.faults += [
            f"{fault.name} at {request.number} ({request.service} {request.action})"
            for request, fault in invocation.injected
        ]

    def _report(self, problems: list[str], current: Round, what: str) -> None:
        if what not in current.reported:
            current.reported.add(what)
            problems.append(f"{current.shape.value} {current.tenant}/{what}: {', then '.join(current.faults)}")


def _record(name: str, body: str) -> dict[str, Any]:
    """Return a message as Lambda gets it. Its queue does not exist: a given-back message is asked back in vain."""
    return {
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:nowhere",
        "messageId": name,
        "receiptHandle": name,
        "attributes": {"ApproximateReceiveCount": "1"},
        "body": body,
    }


if __name__ == "__main__":
    from tests.faults.harness.commands import wire_command

    wire_command()
