"""Sixteen writers at once, each a process with its own batches, on one table that is being compacted.

The batches of neighbours overlap: a fifth of the sales of each belong to another writer too. What a writer gives back
is delivered to it again. By then every lease has expired, including those of attempts that are still working.

    python -m tests.faults.contention
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from carousel_sync.bench.worker import Context
from lambda_fn.settings import GroupCommitMode
from lambda_fn.wiring import build
from tests import builders
from tests.faults.compaction import CompactionFigures, compact_until
from tests.faults.harness.naive_writer import NaiveWriter
from tests.faults.harness.shifted_clock import ShiftedClock
from tests.faults.harness.stores_under_test import StoresUnderTest

WRITERS: Final = 16
BATCHES: Final = 3
SALES_PER_BATCH: Final = 10
SHARED_SALES: Final = 2
TENANT: Final = "shared-tenant"
REQUEST_SECONDS: Final = 5.0
INVOCATION_SECONDS: Final = 60.0
LEASE_SHIFT_SECONDS: Final = 100.0
MAX_DELIVERIES: Final = 10
_TIMEOUT_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Task:
    """The batches of sale ids that one writer has to land."""

    stores: StoresUnderTest
    batches: list[list[str]]
    group_commit: GroupCommitMode = GroupCommitMode.ADAPTIVE


@dataclass
class Written:
    """The results of one writer's batches. ``failed`` counts batches that are not tried again."""

    tried: int = 0
    given_back: int = 0
    failed: int = 0


@dataclass(frozen=True)
class ContentionFigures:
    """The figures of a run."""

    written: Written
    compactions: CompactionFigures
    sales: int
    lost: int
    doubled: int
    unsettled: int
    commits: int
    seconds: float

    def row(self, name: str) -> dict[str, Any]:
        """Return the figures as a row of a table."""
        return {
            "writer": name,
            "appends tried": self.written.tried,
            "given back": self.written.given_back,
            "failed for good": self.written.failed,
            "compactions": self.compactions.landed,
            "sales": self.sales,
            "lost": self.lost,
            "doubled": self.doubled,
            "commits/s": f"{self.commits / self.seconds:.1f}",
            "seconds": f"{self.seconds:.0f}",
        }


Writer = Callable[[Task], Written]


def carousel_sync(task: Task) -> Written:
    """Deliver the batches to the function of this project, and redeliver what it gives back."""
    clock = ShiftedClock()
    settings = task.stores.settings(task.stores.endpoint, REQUEST_SECONDS)
    application = build(replace(settings, group_commit=task.group_commit), clock)
    written = Written()
    for batch in task.batches:
        remaining = batch
        for delivery in range(MAX_DELIVERIES):
            clock.shift_seconds = delivery * LEASE_SHIFT_SECONDS
            records = [{"eventSource": "aws:sqs", "messageId": sale, "body": _body(sale)} for sale in remaining]
            answer = application.handle({"Records": records}, Context(INVOCATION_SECONDS))
            written.tried += 1
            remaining = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
            if not remaining:
                break
            written.given_back += 1
        written.failed += bool(remaining)
    return written


def plain_pyiceberg(task: Task) -> Written:
    """Append each batch with Table.append, which retries four times when another commit is faster.

    It uses this project's file access, which needs fewer requests. That only helps it.
    """
    writer = NaiveWriter(task.stores.settings(task.stores.endpoint, REQUEST_SECONDS), ShiftedClock(), marks_first=False)
    written = Written()
    for batch in task.batches:
        written.tried += 1
        try:
            writer.append([builders.sale(tenant_id=TENANT, sale_id=sale) for sale in batch])
        except Exception:
            written.failed += 1
    return written


def contend(
    stores: StoresUnderTest,
    writer: Writer,
    writers: int = WRITERS,
    batches: int = BATCHES,
    group_commit: GroupCommitMode = GroupCommitMode.ADAPTIVE,
) -> ContentionFigures:
    """Start the writers at the same time, compact meanwhile, and check new stores when all have finished."""
    stores = StoresUnderTest.create(stores.endpoint)
    tasks = [Task(replace(stores), _batches_of(number, writers, batches), group_commit) for number in range(writers)]
    compactions = CompactionFigures()
    stop = threading.Event()
    compactor = threading.Thread(target=compact_until, args=(stop, stores.table, compactions))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.contention"])
    barrier = context.Barrier(writers + 1)
    answers: Any = context.SimpleQueue()
    processes = [context.Process(target=_run, args=(writer, task, barrier, answers)) for task in tasks]
    for process in processes:
        process.start()
    try:
        barrier.wait(_TIMEOUT_SECONDS)
        started = time.monotonic()
        compactor.start()
        results = [_result(answers.get()) for _ in processes]
        seconds = time.monotonic() - started
    finally:
        stop.set()
        for process in processes:
            process.kill()
            process.join()
    compactor.join()
    written = Written(*(sum(getattr(result, name) for result in results) for name in ("tried", "given_back", "failed")))
    return _check(stores, tasks, written, compactions, seconds)


def _run(writer: Writer, task: Task, barrier: Any, answers: Any) -> None:
    """Run one writer. This is the main function of its process."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")
    logging.disable(logging.CRITICAL)
    with open(os.devnull, "w", encoding="utf-8") as dev_null, contextlib.redirect_stdout(dev_null):
        barrier.wait(_TIMEOUT_SECONDS)
        try:
            answers.put(writer(task))
        except Exception as error:
            answers.put(repr(error))


def _result(result: Written | str) -> Written:
    assert isinstance(result, Written), result
    return result


def _batches_of(number: int, writers: int, batches: int) -> list[list[str]]:
    """Return a writer's batches. The last sales of each are the first ones of its neighbour's."""
    own = SALES_PER_BATCH - SHARED_SALES
    neighbour = (number + 1) % writers
    return [
        [f"sale-{number}-{batch}-{sale}" for sale in range(own)]
        + [f"sale-{neighbour}-{batch}-{sale}" for sale in range(SHARED_SALES)]
        for batch in range(batches)
    ]


def _body(sale_id: str) -> str:
    return json.dumps(builders.event(tenantId=TENANT, saleId=sale_id))


def _check(
    stores: StoresUnderTest, tasks: list[Task], written: Written, compactions: CompactionFigures, seconds: float
) -> ContentionFigures:
    sale_ids = {sale for task in tasks for batch in task.batches for sale in batch}
    stored = stores.stored([builders.sale(tenant_id=TENANT, sale_id=sale) for sale in sorted(sale_ids)])
    snapshots = stores.table.load().metadata.snapshots
    by_operation = Counter(snapshot.summary.operation.value for snapshot in snapshots if snapshot.summary)
    return ContentionFigures(
        written,
        compactions,
        sales=len(sale_ids),
        lost=sum(1 for sale in stored.values() if sale.rows == 0),
        doubled=sum(1 for sale in stored.values() if sale.rows > 1),
        unsettled=sum(1 for sale in stored.values() if not (sale.items == 1 and sale.completed)),
        commits=by_operation["append"],
        seconds=seconds,
    )


if __name__ == "__main__":
    from tests.faults.harness.commands import contention_command

    contention_command()
