"""Services that throttle, hang or refuse for a while: what the function answers meanwhile, and what it takes to drain.

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
from tests.faults.harness.figures import Figures
from tests.faults.harness.kinds import ANSWER_LOST, LATE, REFUSALS, REFUSED, THROTTLED
from tests.faults.harness.world import World
from tests.faults.wire import (
    PATIENT_REQUEST_SECONDS,
    REQUEST_SECONDS,
    Bench,
    Handler,
    Round,
    Shape,
    Subject,
    carousel_sync,
)

INVOCATION_SECONDS: Final = 5.0
"""What an invocation is given: a twelfth of the deployed function's time, with requests cut short accordingly."""
PATIENT_INVOCATION_SECONDS: Final = 30.0
SALES_OF_A_BATCH: Final = 10
CLAIMS_THROTTLED: Final = 5
_SLOW_SECONDS: Final = 0.15
_UNAVAILABLE: Final = next(refusal for refusal in REFUSALS if refusal.status == 503)


@dataclass(frozen=True)
class Trouble:
    """A service in trouble.

    ``spares_sales`` and ``spares_poison`` tell whether such events can, and therefore have to, be finished meanwhile;
    None where that is a matter of luck. ``size`` is how many sales a batch has, ``stuck`` how many of them can't be
    finished all the same.
    """

    name: str
    policy: Callable[[random.Random], Policy]
    spares_sales: bool | None
    spares_poison: bool | None = True
    batches: int = 2
    size: int = SALES_OF_A_BATCH
    stuck: int = 0

    @property
    def request_seconds(self) -> float:
        """How long a request may take. Where sales have to be finished, a busy machine must not be what fails them."""
        return PATIENT_REQUEST_SECONDS if self.spares_sales else REQUEST_SECONDS

    @property
    def invocation_seconds(self) -> float:
        """What an invocation is given."""
        return PATIENT_INVOCATION_SECONDS if self.spares_sales else INVOCATION_SECONDS


def _always(service: Service | None, fault: Fault) -> Callable[[random.Random], Policy]:
    return _sometimes(service, fault, 100)


def _sometimes(service: Service | None, fault: Fault, percent: int) -> Callable[[random.Random], Policy]:
    def seeded(generator: random.Random) -> Policy:
        def policy(_number: int, request: Request) -> Fault:
            concerned = service is None or request.service is service
            return fault if concerned and generator.uniform(0, 100) < percent else PASS

        return policy

    return seeded


def _commits(fault: Fault) -> Callable[[random.Random], Policy]:
    def policy(_number: int, request: Request) -> Fault:
        return fault if request.service is Service.CATALOG and request.method == "POST" else PASS

    return lambda _: policy


def _of_the_last_claims(_: random.Random) -> Policy:
    """Fail the claims of the sales beyond the first request's, and each look at how they stand."""

    def policy(_number: int, request: Request) -> Fault:
        if request.action == "BatchGetItem" and b"IDEMPOTENCY#" in request.body:
            return THROTTLED
        is_claim = request.action == "BatchExecuteStatement"
        return THROTTLED if is_claim and len(json.loads(request.body)["Statements"]) < STATEMENT_LIMIT else PASS

    return policy


def _wait() -> None:
    threading.Event().wait(_SLOW_SECONDS)


_SLOW: Final = Fault("slow", before=_wait)

TROUBLES: Final = (
    Trouble("DynamoDB throttles 10 %", _sometimes(Service.DYNAMODB, THROTTLED, 10), spares_sales=True, batches=10),
    Trouble("DynamoDB throttles 50 %", _sometimes(Service.DYNAMODB, THROTTLED, 50), spares_sales=None, batches=4),
    Trouble("DynamoDB throttles 90 %", _sometimes(Service.DYNAMODB, THROTTLED, 90), spares_sales=None, batches=3),
    Trouble("DynamoDB throttles 100 %", _always(Service.DYNAMODB, THROTTLED), spares_sales=False),
    Trouble("DynamoDB is slow", _always(Service.DYNAMODB, _SLOW), spares_sales=True),
    Trouble("DynamoDB answers too late", _always(Service.DYNAMODB, LATE), spares_sales=False),
    Trouble("DynamoDB refuses connections", _always(Service.DYNAMODB, REFUSED), spares_sales=False),
    Trouble(
        "DynamoDB throttles some claims and all looks at them",
        _of_the_last_claims,
        spares_sales=True,
        batches=1,
        size=STATEMENT_LIMIT + CLAIMS_THROTTLED,
        stuck=CLAIMS_THROTTLED,
    ),
    Trouble("Catalog is slow", _always(Service.CATALOG, _SLOW), spares_sales=True),
    Trouble("Catalog answers too late", _always(Service.CATALOG, LATE), spares_sales=False),
    Trouble("Catalog refuses connections", _always(Service.CATALOG, REFUSED), spares_sales=False),
    Trouble("Catalog answers 503", _always(Service.CATALOG, _UNAVAILABLE), spares_sales=False),
    Trouble("Answers to commits are lost", _commits(ANSWER_LOST), spares_sales=True),
    Trouble("Commits are answered 503", _commits(_UNAVAILABLE), spares_sales=False),
    Trouble("S3 refuses connections", _always(Service.S3, REFUSED), spares_sales=False),
    Trouble("S3 slows down 50 %", _sometimes(Service.S3, THROTTLED, 50), spares_sales=None, batches=4),
    Trouble("SQS refuses dead letters", _always(Service.SQS, REFUSED), spares_sales=True, spares_poison=False),
    Trouble("Everything refuses", _always(None, REFUSED), spares_sales=False, spares_poison=False),
)


@dataclass
class OutageFigures:
    """What a trouble did. ``drained_after`` counts the deliveries that each batch took once the trouble was over."""

    trouble: Trouble
    figures: Figures
    requests: int
    failed: int
    sales_given_back: int
    poison_given_back: int
    slowest_seconds: float
    drained_after: float

    @property
    def unnecessary(self) -> list[str]:
        """What was given back without need."""
        found = []
        if self.trouble.spares_sales and self.sales_given_back > self.trouble.stuck * self.trouble.batches:
            found.append(f"{self.trouble.name}: {self.sales_given_back} sales were given back")
        if self.trouble.spares_poison and self.poison_given_back:
            found.append(f"{self.trouble.name}: {self.poison_given_back} poisoned events were given back")
        return found

    def row(self) -> dict[str, Any]:
        """Return the figures as a line of a table."""
        return {
            "trouble": self.trouble.name,
            "requests": self.requests,
            "failed": self.failed,
            "sales": self.figures.sales,
            "sales given back": self.sales_given_back,
            "dead letters given back": f"{self.poison_given_back} of {self.trouble.batches}",
            "slowest answer (s)": f"{self.slowest_seconds:.1f}",
            "deliveries to drain": f"{self.drained_after:.1f}",
            "lost": len(self.figures.lost),
            "doubled": len(self.figures.doubled),
        }


def go_through(
    world: World,
    proxy: FaultProxy,
    trouble: Trouble,
    seed: int,
    subject: Subject = carousel_sync,
    shape: Shape = Shape.BATCH,
) -> OutageFigures:
    """Deliver batches during a trouble and, when it has ended, to the same process until they are acknowledged."""
    seconds = trouble.invocation_seconds
    bench = Bench(world.with_a_new_table(), proxy, subject, invocation_seconds=seconds, pause_factor=1.0)
    handler = bench.cold(trouble.request_seconds)
    policy = trouble.policy(random.Random(seed))
    rounds = [bench.round(shape, trouble.size) for _ in range(trouble.batches)]
    requests = failed = sales_back = poison_back = 0
    for current in rounds:
        invocation = bench.deliver(current, handler, policy)
        current.faults.append(trouble.name)
        invocation.settle()
        bench.check(current)
        requests += len(invocation.requests)
        failed += len(invocation.injected)
        sales_back += len({sale.sale_id for sale in current.sales} - current.acknowledged)
        poison_back += int(shape is Shape.BATCH and not current.poison_is_acknowledged)
    slowest, before = bench.slowest_seconds, bench.figures.deliveries
    _drain(bench, rounds, handler)
    drained_after = (bench.figures.deliveries - before) / len(rounds)
    bench.figures.faults = failed
    return OutageFigures(trouble, bench.figures, requests, failed, sales_back, poison_back, slowest, drained_after)


def _drain(bench: Bench, rounds: list[Round], handler: Handler) -> None:
    for current in rounds:
        bench.finish(current, [], handler)
    bench.check_letters()


if __name__ == "__main__":
    from tests.faults.harness.commands import outage_command

    outage_command()
