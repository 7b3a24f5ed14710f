"""Faults on the wire: real invocations against the emulator, in which selected requests fail.

A round is an event or a batch that is delivered with faults, and then without faults until it is acknowledged. At each
delivery the leases of the previous one have expired. After each delivery both stores are checked. The handler is a
parameter, so that the same rounds can test a naive writer.

    python -m tests.faults.wire                                   every request, every fault
    python -m tests.faults.wire --all-pairs --seconds 600         pairs of faults over two deliveries, in random order
    python -m tests.faults.wire --groups                          the same with group commit forced on
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

from carousel_sync.bench.worker import Context
from lambda_fn.errors import CarouselSyncError
from lambda_fn.runtime.retry import Clock
from lambda_fn.sale import Sale
from lambda_fn.settings import GroupCommitMode
from lambda_fn.wiring import build
from testbed.emulator import REGION
from tests import builders
from tests.faults.harness.fault_proxy import Fault, FaultProxy, Invocation, Policy, at, no_fault
from tests.faults.harness.faults import DELIVERIES_HELD
from tests.faults.harness.figures import Figures
from tests.faults.harness.shifted_clock import ShiftedClock
from tests.faults.harness.stores_under_test import StoresUnderTest

REQUEST_SECONDS: Final = 0.3
"""The time after which a client gives up a request, where requests are failed."""
PATIENT_REQUEST_SECONDS: Final = 1.5
INVOCATION_SECONDS: Final = 20.0
LEASE_SHIFT_SECONDS: Final = 10 * INVOCATION_SECONDS
"""How far the clock moves forward for each delivery: beyond the end of every lease."""
SHORT_PAUSES: Final = 0.1
"""Pauses between tries take a tenth of the time where only the order of requests matters."""
CLEAN_DELIVERIES: Final = 4
"""One delivery without faults is enough, unless the machine is too busy."""
OVERTAKEN_BEFORE: Final = Fault("overtaken before the request is sent")
OVERTAKEN_AFTER: Final = Fault("overtaken before the answer is read")

_LONG_AGO: Final = date(2019, 5, 17)
_INVALID: Final = "poison"


class Handler(Protocol):
    """What is under test."""

    def handle(self, event: Any, context: Any) -> Mapping[str, Any]:
        """Process an SQS batch or one EventBridge event."""
        ...


Subject = Callable[[StoresUnderTest, str, float, Clock], Handler]
"""Returns a handler as in a fresh process, from the stores, the endpoint, the request time-out, and the clock."""


def carousel_sync(stores: StoresUnderTest, endpoint: str, request_seconds: float, clock: Clock) -> Handler:
    """Return the function of this project, wired by its composition root."""
    return build(stores.settings(endpoint, request_seconds), clock)


def in_groups(stores: StoresUnderTest, endpoint: str, request_seconds: float, clock: Clock) -> Handler:
    """Return the function of this project with group commit forced on: each attempt goes through the commit queue."""
    settings = replace(stores.settings(endpoint, request_seconds), group_commit=GroupCommitMode.ALWAYS)
    return build(settings, clock)


class Shape(Enum):
    """What is delivered."""

    BATCH = "batch"
    """An SQS batch: a few sales, one of them twice, and a message that is not a valid event."""
    DIRECT = "direct"
    """One EventBridge event."""
    EXPIRED = "expired"
    """One event of a sale so old that only a scan of the table can show whether it has landed."""


@dataclass
class Round:
    """What is delivered until it is acknowledged, and what has been acknowledged so far."""

    tenant: str
    shape: Shape
    size: int = 2
    faults: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)

    @cached_property
    def sales(self) -> list[Sale]:
        """The distinct sales of the round."""
        size = self.size if self.shape is Shape.BATCH else 1
        return [builders.sale(tenant_id=self.tenant, sale_id=f"sale-{number}") for number in range(1, size + 1)]

    @property
    def invalid_body(self) -> str:
        """The body of the message that is not a valid event."""
        return f"{_INVALID} {self.tenant}"

    @cached_property
    def event(self) -> dict[str, Any]:
        """The event that is passed to the handler."""
        sold = {"soldDate": _LONG_AGO.isoformat()} if self.shape is Shape.EXPIRED else {}
        events = [builders.event(tenantId=self.tenant, saleId=sale.sale_id, **sold) for sale in self.sales]
        if self.shape is not Shape.BATCH:
            return events[0]
        bodies = {sale.sale_id: json.dumps(event) for sale, event in zip(self.sales, events, strict=True)}
        messages = {**bodies, "again": json.dumps(events[0]), _INVALID: self.invalid_body}
        return {"Records": [_record(name, body) for name, body in messages.items()]}

    def record_answer(self, answer: Mapping[str, Any]) -> None:
        """Record what an answer acknowledges."""
        if self.shape is Shape.BATCH:
            given_back = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            names = {record["messageId"] for record in self.event["Records"]}
            self.acknowledged |= names - given_back
        else:
            assert answer["statusCode"] == 200, answer
            self.acknowledged.add(self.sales[0].sale_id)

    @property
    def invalid_is_acknowledged(self) -> bool:
        """Whether the message that is not a valid event was acknowledged."""
        return _INVALID in self.acknowledged

    @property
    def is_done(self) -> bool:
        """Whether everything was acknowledged."""
        return {sale.sale_id for sale in self.sales} <= self.acknowledged and (
            self.shape is not Shape.BATCH or {"again", _INVALID} <= self.acknowledged
        )


class RoundRunner:
    """Runs rounds with one subject on the same stores, and keeps the figures."""

    def __init__(
        self,
        stores: StoresUnderTest,
        proxy: FaultProxy,
        subject: Subject = carousel_sync,
        *,
        invocation_seconds: float = INVOCATION_SECONDS,
        pause_factor: float = SHORT_PAUSES,
    ) -> None:
        self.stores = stores
        self.proxy = proxy
        self.figures = Figures()
        self.slowest_seconds = 0.0
        self._subject = subject
        self._invocation_seconds = invocation_seconds
        self._clock = ShiftedClock(pause_factor)
        self._rounds: list[Round] = []
        self._started = time.monotonic()

    def cold(self, request_seconds: float = REQUEST_SECONDS) -> Handler:
        """Return a fresh handler whose requests pass the proxy."""
        return self._subject(self.stores, self.proxy.url, request_seconds, self._clock)

    @cached_property
    def warm(self) -> Handler:
        """A handler that is reused, and whose requests pass the proxy."""
        return self.cold()

    @cached_property
    def without_faults(self) -> Handler:
        """A handler that is reused, and whose requests bypass the proxy."""
        return self._subject(self.stores, self.stores.endpoint, PATIENT_REQUEST_SECONDS, self._clock)

    def new_round(self, shape: Shape, size: int = 2) -> Round:
        """Begin a round with new sales."""
        started = Round(f"tenant-{uuid.uuid4().hex[:12]}", shape, size)
        self._rounds.append(started)
        self._clock.shift_seconds = 0.0
        self.figures.sales += len(started.sales)
        return started

    def deliver(self, current: Round, handler: Handler, policy: Policy = no_fault) -> Invocation:
        """Deliver all of a round's events once, and record the answer."""
        self._clock.shift_seconds += LEASE_SHIFT_SECONDS
        invocation = self.proxy.begin(policy)
        started = time.monotonic()
        try:
            current.record_answer(handler.handle(current.event, Context(self._invocation_seconds)))
        except CarouselSyncError:
            pass  # The event is delivered again.
        except Exception as error:  # noqa: BLE001, RUF100 (a naive writer may raise anything)
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.figures.escaped.append(f"{current.tenant}: {error!r} at {where.filename}:{where.lineno}")
        seconds = time.monotonic() - started
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if seconds > self._invocation_seconds:
            self.figures.overtime.append(f"{current.tenant}: {seconds:.1f} s")
        self.figures.deliveries += 1
        return invocation

    def run(self, current: Round, faults: Sequence[tuple[int, Fault]], handlers: Sequence[Handler]) -> None:
        """Run a round: a delivery for each fault, then deliveries without faults.

        A fault comes with the number of the request that it happens to.
        """
        held: list[tuple[int, Invocation]] = []
        for delivery, ((number, fault), handler) in enumerate(zip(faults, handlers, strict=True), start=1):
            invocation = self.deliver(current, handler, at(number, fault))
            self._record_faults(current, invocation)
            held.append((delivery + DELIVERIES_HELD.get(fault, 1) - 1, invocation))
            self._settle(held, delivery)
            self.check(current)
        self.finish(current, held)

    def run_overtaken(self, current: Round, number: int, fault: Fault, handler: Handler) -> Invocation:
        """Run a round in which a delivery stops at a request, another one does all the work, and the first resumes."""

        def overtake() -> None:
            self._clock.shift_seconds += LEASE_SHIFT_SECONDS
            current.record_answer(self.without_faults.handle(current.event, Context(INVOCATION_SECONDS)))
            self.figures.deliveries += 1

        stopped = replace(fault, before=overtake) if fault is OVERTAKEN_BEFORE else replace(fault, after=overtake)
        invocation = self.deliver(current, handler, at(number, stopped))
        self._record_faults(current, invocation)
        self.check(current)
        self.finish(current, [])
        return invocation

    def finish(self, current: Round, held: list[tuple[int, Invocation]], handler: Handler | None = None) -> None:
        """Deliver without faults until everything is acknowledged, and check the stores."""
        before = len(held)
        for clean in range(1, CLEAN_DELIVERIES + 1):
            self.deliver(current, handler or self.without_faults)
            self._settle(held, before + clean)
            self.check(current)
            if current.is_done and not held:
                break
        if not current.is_done:
            self._report(self.figures.stuck, current, "round")
        self.figures.seconds = time.monotonic() - self._started

    def check(self, current: Round) -> None:
        """Check that no sale has two rows, and that each acknowledged sale is complete."""
        for sale_id, stored in self.stores.stored(current.sales).items():
            if stored.rows > 1:
                self._report(self.figures.doubled, current, sale_id)
            # The item of an expired sale is not written again.
            has_item = stored.items == 1 or current.shape is Shape.EXPIRED
            complete = stored.rows >= 1 and has_item and stored.completed
            if sale_id in current.acknowledged and not complete:
                self._report(self.figures.lost, current, f"{sale_id} {stored}")

    def check_letters(self) -> None:
        """Check that each invalid message that was acknowledged is in the dead-letter queue."""
        letters = self.stores.letters()
        for each in self._rounds:
            if each.invalid_is_acknowledged and each.invalid_body not in letters:
                self._report(self.figures.lost, each, _INVALID)

    def _settle(self, held: list[tuple[int, Invocation]], delivery: int) -> None:
        """Let the requests pass that were held until this delivery."""
        for due in [entry for entry in held if entry[0] <= delivery]:
            due[1].settle()
            held.remove(due)

    def _record_faults(self, current: Round, invocation: Invocation) -> None:
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
    """Return a message as Lambda receives it. Its queue does not exist, so its visibility cannot be changed."""
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
