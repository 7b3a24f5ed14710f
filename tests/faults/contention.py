"""Sixteen writers at once, each a process with batches of its own, on one table that is being compacted.

The batches of neighbours overlap: a fifth of each are sales that another writer has too. What a writer gives back is
delivered to it again, and finds every lease lapsed, also those of attempts that are still at work.

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

from lambda_fn.wiring import build
from tests import builders
from tests.faults.compaction import CompactionFigures, compact_until
from tests.faults.harness.naive_writer import NaiveWriter
from tests.faults.harness.world import Context, ShiftedClock, World

WRITERS: Final = 16
BATCHES: Final = 3
SALES_OF_A_BATCH: Final = 10
SHARED: Final = 2
TENANT: Final = "tenant-of-all"
REQUEST_SECONDS: Final = 5.0
INVOCATION_SECONDS: Final = 60.0
LAPSE_SECONDS: Final = 100.0
MOST_DELIVERIES: Final = 10
_END_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Task:
    """What one writer has to land: batches of sale ids."""

    world: World
    batches: list[list[str]]


@dataclass
class Written:
    """What became of one writer's batches. ``failed`` are those that nobody will try again."""

    tried: int = 0
    given_back: int = 0
    failed: int = 0


@dataclass(frozen=True)
class ContentionFigures:
    """What a run did."""

    written: Written
    compactions: CompactionFigures
    sales: int
    lost: int
    doubled: int
    unsettled: int
    commits: int
    seconds: float

    def row(self, name: str) -> dict[str, Any]:
        """Return the figures as a line of a table."""
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
    """Deliver the batches to the function of this project, and again whatever it gives back."""
    clock = ShiftedClock()
    application = build(task.world.settings(task.world.endpoint, REQUEST_SECONDS), clock)
    written = Written()
    for batch in task.batches:
        left = batch
        for delivery in range(MOST_DELIVERIES):
            clock.shift_seconds = delivery * LAPSE_SECONDS
            records = [{"eventSource": "aws:sqs", "messageId": sale, "body": _body(sale)} for sale in left]
            answer = application.handle({"Records": records}, Context(INVOCATION_SECONDS))
            written.tried += 1
            left = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
            if not left:
                break
            written.given_back += 1
        written.failed += bool(left)
    return written


def plain_pyiceberg(task: Task) -> Written:
    """Append each batch with Table.append, which tries four times more when somebody else was faster.

    Its files go the short way of this project's own file access, which only helps it.
    """
    writer = NaiveWriter(task.world.settings(task.world.endpoint, REQUEST_SECONDS), ShiftedClock(), marks_first=False)
    written = Written()
    for batch in task.batches:
        written.tried += 1
        try:
            writer.append([builders.sale(tenant_id=TENANT, sale_id=sale) for sale in batch])
        except Exception:
            written.failed += 1
    return written


def contend(world: World, writer: Writer, writers: int = WRITERS, batches: int = BATCHES) -> ContentionFigures:
    """Let the writers begin at the same moment, compact meanwhile, and read what is stored when all have ended."""
    world = world.with_a_new_table()
    tasks = [Task(replace(world), _batches_of(number, writers, batches)) for number in range(writers)]
    compactions = CompactionFigures()
    stop = threading.Event()
    compactor = threading.Thread(target=compact_until, args=(stop, world.table, compactions))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.contention"])
    barrier = context.Barrier(writers + 1)
    answers: Any = context.SimpleQueue()
    processes = [context.Process(target=_run, args=(writer, task, barrier, answers)) for task in tasks]
    for process in processes:
        process.start()
    try:
        barrier.wait(_END_SECONDS)
        began = time.monotonic()
        compactor.start()
        each = [_answer(answers.get()) for _ in processes]
        seconds = time.monotonic() - began
    finally:
        stop.set()
        for process in processes:
            process.kill()
            process.join()
    compactor.join()
    written = Written(*(sum(getattr(one, name) for one in each) for name in ("tried", "given_back", "failed")))
    return _judge(world, tasks, written, compactions, seconds)


def _run(writer: Writer, task: Task, barrier: Any, answers: Any) -> None:
    """Be one writer: the main function of its process."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")
    logging.disable(logging.CRITICAL)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        barrier.wait(_END_SECONDS)
        try:
            answers.put(writer(task))
        except Exception as error:
            answers.put(repr(error))


def _answer(answer: Written | str) -> Written:
    assert isinstance(answer, Written), answer
    return answer


def _batches_of(number: int, writers: int, batches: int) -> list[list[str]]:
    """Return a writer's batches: the last sales of each are the first of its neighbour's."""
    own = SALES_OF_A_BATCH - SHARED
    neighbour = (number + 1) % writers
    return [
        [f"sale-{number}-{batch}-{sale}" for sale in range(own)]
        + [f"sale-{neighbour}-{batch}-{sale}" for sale in range(SHARED)]
        for batch in range(batches)
    ]


def _body(sale_id: str) -> str:
    return json.dumps(builders.event(tenantId=TENANT, saleId=sale_id))


def _judge(
    world: World, tasks: list[Task], written: Written, compactions: CompactionFigures, seconds: float
) -> ContentionFigures:
    sale_ids = {sale for task in tasks for batch in task.batches for sale in batch}
    stored = world.stored([builders.sale(tenant_id=TENANT, sale_id=sale) for sale in sorted(sale_ids)])
    snapshots = world.table.load().metadata.snapshots
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
