"""Outages: services throttle, hang or refuse for a while, and then everything must drain.

python -m tests.faults.outage
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lambda_fn.aws.batch_requests import STATEMENT_LIMIT
from tests.faults.harness.fault_proxy import PASS, Fault, FaultProxy, Policy, Request, Service
from tests.faults.harness.faults import ANSWER_LOST, LATE, REFUSALS, REFUSED, THROTTLED
from tests.faults.harness.figures import Figures
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.faults.wire import (
    PATIENT_REQUEST_SECONDS,
    REQUEST_SECONDS,
    Handler,
    Round,
    RoundRunner,
    Shape,
    Subject,
    carousel_sync,
)

INVOCATION_SECONDS: Final = 5.0
"""The time of an invocation: a twelfth of the deployed function's, with request time-outs reduced accordingly."""
PATIENT_INVOCATION_SECONDS: Final = 30.0
SALES_PER_BATCH: Final = 10
THROTTLED_CLAIMS: Final = 5
_SLOW_SECONDS: Final = 0.15
_UNAVAILABLE: Final = next(refusal for refusal in REFUSALS if refusal.status == 503)


@dataclass(frozen=True)
class Outage:
    """An outage of a service.

    ``sales_pass`` and ``letters_pass`` say whether sales and dead letters can be processed during the outage, and
    therefore must be; None means that it depends on chance. ``size`` is the number of sales in a batch, ``stuck`` the
    number of them that cannot be processed in any case.
    """

    name: str
    policy: Callable[[random.Random], Policy]
    sales_pass: bool | None
    letters_pass: bool | None = True
    batches: int = 2
    size: int = SALES_PER_BATCH
    stuck: int = 0

    @property
    def request_seconds(self) -> float:
        """The time-out of a request. It is longer where sales must pass, so that a busy machine does not fail them."""
        return PATIENT_REQUEST_SECONDS if self.sales_pass else REQUEST_SECONDS

    @property
    def invocation_seconds(self) -> float:
        """The time of an invocation."""
        return PATIENT_INVOCATION_SECONDS if self.sales_pass else INVOCATION_SECONDS


def _always(service: Service | None, fault: Fault) -> Callable[[random.Random], Policy]:
    return _sometimes(service, fault, 100)


def _sometimes(service: Service | None, fault: Fault, percent: int) -> Callable[[random.Random], Policy]:
    def seeded(generator: random.Random) -> Policy:
        def policy(_number: int, request: Request) -> Fault:
            matches = service is None or request.service is service
            return fault if matches and generator.uniform(0, 100) < percent else PASS

        return policy

    return seeded


def _commits(fault: Fault) -> Callable[[random.Random], Policy]:
    def policy(_number: int, request: Request) -> Fault:
        return fault if request.service is Service.CATALOG and request.method == "POST" else PASS

    return lambda _: policy


def _last_claims(_: random.Random) -> Policy:
    """Throttle the claims in all but the first request, and each read of their state."""

    def policy(_number: int, request: Request) -> Fault:
        if request.action == "BatchGetItem" and b"IDEMPOTENCY#" in request.body:
            return THROTTLED
        is_claim = request.action == "BatchExecuteStatement"
        return THROTTLED if is_claim and len(json.loads(request.body)["Statements"]) < STATEMENT_LIMIT else PASS

    return policy


def _wait() -> None:
    threading.Event().wait(_SLOW_SECONDS)


_SLOW: Final = Fault("slow", before=_wait)

OUTAGES: Final = (
    Outage("DynamoDB throttles 10 %", _sometimes(Service.DYNAMODB, THROTTLED, 10), sales_pass=True, batches=10),
    Outage("DynamoDB throttles 50 %", _sometimes(Service.DYNAMODB, THROTTLED, 50), sales_pass=None, batches=4),
    Outage("DynamoDB throttles 90 %", _sometimes(Service.DYNAMODB, THROTTLED, 90), sales_pass=None, batches=3),
    Outage("DynamoDB throttles 100 %", _always(Service.DYNAMODB, THROTTLED), sales_pass=False),
    Outage("DynamoDB is slow", _always(Service.DYNAMODB, _SLOW), sales_pass=True),
    Outage("DynamoDB answers too late", _always(Service.DYNAMODB, LATE), sales_pass=False),
    Outage("DynamoDB refuses connections", _always(Service.DYNAMODB, REFUSED), sales_pass=False),
    Outage(
        "DynamoDB throttles some claims and all reads of them",
        _last_claims,
        sales_pass=True,
        batches=1,
        size=STATEMENT_LIMIT + THROTTLED_CLAIMS,
        stuck=THROTTLED_CLAIMS,
    ),
    Outage("Catalog is slow", _always(Service.CATALOG, _SLOW), sales_pass=True),
    Outage("Catalog answers too late", _always(Service.CATALOG, LATE), sales_pass=False),
    Outage("Catalog refuses connections", _always(Service.CATALOG, REFUSED), sales_pass=False),
    Outage("Catalog answers 503", _always(Service.CATALOG, _UNAVAILABLE), sales_pass=False),
    Outage("Answers to commits are lost", _commits(ANSWER_LOST), sales_pass=True),
    Outage("Commits are answered 503", _commits(_UNAVAILABLE), sales_pass=False),
    Outage("S3 refuses connections", _always(Service.S3, REFUSED), sales_pass=False),
    Outage("S3 slows down 50 %", _sometimes(Service.S3, THROTTLED, 50), sales_pass=None, batches=4),
    Outage("SQS refuses dead letters", _always(Service.SQS, REFUSED), sales_pass=True, letters_pass=False),
    Outage("Everything refuses", _always(None, REFUSED), sales_pass=False, letters_pass=False),
)


@dataclass
class OutageFigures:
    """The figures of an outage. ``drained_after`` is the number of deliveries per batch after the outage."""

    outage: Outage
    figures: Figures
    requests: int
    failed: int
    sales_given_back: int
    letters_given_back: int
    slowest_seconds: float
    drained_after: float

    @property
    def unnecessary(self) -> list[str]:
        """What was given back although it could have been processed."""
        found = []
        if self.outage.sales_pass and self.sales_given_back > self.outage.stuck * self.outage.batches:
            found.append(f"{self.outage.name}: {self.sales_given_back} sales were given back")
        if self.outage.letters_pass and self.letters_given_back:
            found.append(f"{self.outage.name}: {self.letters_given_back} dead letters were given back")
        return found

    def row(self) -> dict[str, Any]:
        """Return the figures as a row of a table."""
        return {
            "outage": self.outage.name,
            "requests": self.requests,
            "failed": self.failed,
            "sales": self.figures.sales,
            "sales given back": self.sales_given_back,
            "dead letters given back": f"{self.letters_given_back} of {self.outage.batches}",
            "slowest answer (s)": f"{self.slowest_seconds:.1f}",
            "deliveries to drain": f"{self.drained_after:.1f}",
            "lost": len(self.figures.lost),
            "doubled": len(self.figures.doubled),
        }


def run_outage(
    stores: StoresUnderTest,
    proxy: FaultProxy,
    outage: Outage,
    seed: int,
    subject: Subject = carousel_sync,
    shape: Shape = Shape.BATCH,
) -> OutageFigures:
    """Deliver batches during an outage and, after it has ended, to the same process until they are acknowledged."""
    seconds = outage.invocation_seconds
    runner = RoundRunner(stores.with_new_table(), proxy, subject, invocation_seconds=seconds, pause_factor=1.0)
    handler = runner.cold(outage.request_seconds)
    policy = outage.policy(random.Random(seed))
    rounds = [runner.new_round(shape, outage.size) for _ in range(outage.batches)]
    requests = failed = sales_back = letters_back = 0
    for current in rounds:
        invocation = runner.deliver(current, handler, policy)
        current.faults.append(outage.name)
        invocation.settle()
        runner.check(current)
        requests += len(invocation.requests)
        failed += len(invocation.injected)
        sales_back += len({sale.sale_id for sale in current.sales} - current.acknowledged)
        letters_back += int(shape is Shape.BATCH and not current.invalid_is_acknowledged)
    slowest, before = runner.slowest_seconds, runner.figures.deliveries
    _drain(runner, rounds, handler)
    drained_after = (runner.figures.deliveries - before) / len(rounds)
    runner.figures.faults = failed
    return OutageFigures(outage, runner.figures, requests, failed, sales_back, letters_back, slowest, drained_after)


def _drain(runner: RoundRunner, rounds: list[Round], handler: Handler) -> None:
    for current in rounds:
        runner.finish(current, [], handler)
    runner.check_letters()


if __name__ == "__main__":
    from tests.faults.harness.commands import outage_command

    outage_command()
