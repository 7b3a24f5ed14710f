"""Three writers in processes of their own, whose commits lose answers, while Spark works on the same table.

The writers deliver batch after batch until Spark has done its rounds. What a batch gives back is delivered again when
its lease has ended, by the machine's clock: Iceberg's Java library refuses commits whose clocks differ by a minute.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

from carousel_sync.bench.worker import Context
from lambda_fn.runtime.retry import SystemClock
from lambda_fn.settings import GroupCommitMode
from lambda_fn.wiring import build
from tests import builders
from tests.faults.harness.fault_proxy import PASS, Fault, FaultProxy, Policy, Request
from tests.faults.harness.faults import ANSWER_LOST
from tests.faults.harness.naive_writer import NaiveWriter
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.forked import forkserver
from tests.tables import TABLE

WRITERS: Final = 3
TENANT: Final = "racing"
OWN_SALES: Final = 4
SHARED_SALES: Final = 2
REQUEST_SECONDS: Final = 0.75
INVOCATION_SECONDS: Final = 10.0
REDELIVERY_SECONDS: Final = 21.0
"""A lease lasts for an invocation and ten seconds."""
MAX_DELIVERIES: Final = 6
ANSWERS_LOST_AT_FIRST: Final = WRITERS
"""Of so many requests, one certainly is the first commit of an empty table, and lands."""
LOSE_EVERY: Final = 4
_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Task:
    """What one writer writes to: the stores as they are reached through the proxy. Writers are numbered from 0."""

    number: int
    stores: StoresUnderTest


@dataclass
class Written:
    """What one writer has done. ``failed`` lists sales that were given back to the end."""

    deliveries: int = 0
    given_back: int = 0
    acknowledged: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class RaceFigures:
    """The figures of a race. ``unsettled`` are sales without an item or without a completed claim."""

    deliveries: int
    given_back: int
    answers_lost: int
    failed: int
    sales: int
    lost: int
    doubled: int
    unsettled: int
    seconds: float

    def row(self, name: str, rounds: dict[str, int]) -> dict[str, Any]:
        """Return the figures as a row of a table, with what Spark has done."""
        mine = {
            "deliveries": self.deliveries,
            "given back": self.given_back,
            "answers lost": self.answers_lost,
            "failed for good": self.failed,
            "sales": self.sales,
            "lost": self.lost,
            "doubled": self.doubled,
            "seconds": f"{self.seconds:.0f}",
        }
        return {"writers": name, **rounds, **mine}


Subject = Callable[[Task, threading.Event], Written]


def carousel_sync(task: Task, stop: threading.Event) -> Written:
    """Deliver batches to the function of this project, with group commit forced on.

    Each batch shares sales with the neighbour's, and repeats one of the batch before.
    """
    settings = task.stores.settings(task.stores.endpoint, REQUEST_SECONDS)
    application = build(replace(settings, group_commit=GroupCommitMode.ALWAYS))

    def deliver(sale_ids: list[str]) -> list[str]:
        records = [
            {"eventSource": "aws:sqs", "messageId": sale, "body": builders.body(tenantId=TENANT, saleId=sale)}
            for sale in sale_ids
        ]
        answer = application.handle({"Records": records}, Context(INVOCATION_SECONDS))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    neighbour = (task.number + 1) % WRITERS
    batches = (
        [
            *_sale_ids(task.number, batch)[:OWN_SALES],
            *_sale_ids(neighbour, batch)[:SHARED_SALES],
            *_sale_ids(task.number, batch - 1)[: min(1, batch)],
        ]
        for batch in count()
    )
    return _write(batches, deliver, REDELIVERY_SECONDS, stop)


def plain_pyiceberg(task: Task, stop: threading.Event) -> Written:
    """Append batches with pyiceberg's Table.append, which retries four times, and again if that raises.

    No sale is in two batches, so that each one is meant to have one row.
    """
    settings = task.stores.settings(task.stores.endpoint, REQUEST_SECONDS)
    writer = NaiveWriter(settings, SystemClock(), marks_first=False)

    def deliver(sale_ids: list[str]) -> list[str]:
        try:
            writer.append([builders.sale(tenant_id=TENANT, sale_id=sale_id) for sale_id in sale_ids])
        except Exception:
            return sale_ids
        return []

    return _write((_sale_ids(task.number, batch) for batch in count()), deliver, 0.0, stop)


def _sale_ids(writer: int, batch: int) -> list[str]:
    return [f"sale-{writer}-{batch}-{number}" for number in range(OWN_SALES)]


def _write(
    batches: Iterator[list[str]],
    deliver: Callable[[list[str]], list[str]],
    redelivery_seconds: float,
    stop: threading.Event,
) -> Written:
    """Deliver batches until the event is set, and then what was given back until nothing is left."""
    written = Written()
    waiting: deque[tuple[float, list[str], int]] = deque()
    while waiting or not stop.is_set():
        if waiting and (stop.is_set() or waiting[0][0] <= time.monotonic()):
            due, batch, deliveries = waiting.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
        else:
            batch, deliveries = next(batches), 0
        remaining = deliver(batch)
        written.deliveries += 1
        written.acknowledged.update(set(batch) - set(remaining))
        if remaining and deliveries + 1 < MAX_DELIVERIES:
            written.given_back += 1
            waiting.append((time.monotonic() + redelivery_seconds, remaining, deliveries + 1))
        else:
            written.failed.update(remaining)
    return written


def race(stores: StoresUnderTest, proxy: FaultProxy, subject: Subject, meanwhile: Callable[[], None]) -> RaceFigures:
    """Start the writers, do something meanwhile, stop the writers, and check what they acknowledged.

    ``stores`` have an empty table; their requests for the catalog pass the proxy. The answers to some commits get lost.
    """
    invocation = proxy.begin(_lose_answers())
    context = forkserver()
    stop, answers = context.Event(), context.SimpleQueue()
    processes = [
        context.Process(target=_run, args=(subject, Task(number, replace(stores)), stop, answers))
        for number in range(WRITERS)
    ]
    started = time.monotonic()
    for process in processes:
        process.start()
    try:
        meanwhile()
        stop.set()
        for process in processes:
            process.join(_SECONDS)
        results = [_result(answers.get()) for _ in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()
    seconds = time.monotonic() - started
    proxy.begin()
    return _check(stores, results, len(invocation.injected), seconds)


def _lose_answers() -> Policy:
    commits, lock = count(), threading.Lock()

    def policy(_number: int, request: Request) -> Fault:
        if request.method != "POST" or not request.path.endswith(f"/tables/{TABLE}"):
            return PASS
        with lock:
            number = next(commits)
        return ANSWER_LOST if number < ANSWERS_LOST_AT_FIRST or number % LOSE_EVERY == 0 else PASS

    return policy


def _run(subject: Subject, task: Task, stop: Any, answers: Any) -> None:
    """Run one writer. This is the main function of its process."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")
    logging.disable(logging.CRITICAL)
    with open(os.devnull, "w", encoding="utf-8") as dev_null, contextlib.redirect_stdout(dev_null):
        try:
            answers.put(subject(task, stop))
        except Exception as error:
            answers.put(repr(error))


def _result(result: Written | str) -> Written:
    assert isinstance(result, Written), result
    return result


def _check(stores: StoresUnderTest, results: list[Written], answers_lost: int, seconds: float) -> RaceFigures:
    acknowledged = set[str]().union(*(result.acknowledged for result in results))
    stored = stores.stored([builders.sale(tenant_id=TENANT, sale_id=sale_id) for sale_id in sorted(acknowledged)])
    return RaceFigures(
        deliveries=sum(result.deliveries for result in results),
        given_back=sum(result.given_back for result in results),
        answers_lost=answers_lost,
        failed=len(set[str]().union(*(result.failed for result in results)) - acknowledged),
        sales=len(acknowledged),
        lost=sum(1 for sale in stored.values() if sale.rows == 0),
        doubled=sum(1 for count in stores.rows(TENANT).values() if count > 1),
        unsettled=sum(1 for sale in stored.values() if not (sale.items == 1 and sale.completed)),
        seconds=seconds,
    )
