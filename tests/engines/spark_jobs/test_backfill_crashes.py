"""The job is killed between two of its steps. Its repeat, and events that arrive first, end with one row and item."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.spark_jobs.contents import Contents, old, write_lines, young
from tests.engines.spark_jobs.job import Job, kill
from tests.faults.harness.fault_proxy import PASS, Fault, FaultProxy, Reply, Request, Service, Timing
from tests.faults.harness.faults import DROPPED

pytestmark = [pytest.mark.engine, ONE_PROCESS]

YOUNG_SALES = 60
EVENTS = [
    *(young(f"young-{number:02}") for number in range(YOUNG_SALES)),
    *(old(f"old-{number}") for number in range(5)),
]
DELIVERED_FIRST = [EVENTS[0], EVENTS[YOUNG_SALES - 1], EVENTS[-1]]
SALE_IDS = sorted(event["detail"]["saleId"] for event in EVENTS)


def commits(request: Request) -> bool:
    return (request.service, request.action) == (Service.CATALOG, "POST sales_history")


def puts_items(request: Request) -> bool:
    return request.action == "BatchWriteItem" and b"projection-" in request.body


def completes_claims(request: Request) -> bool:
    return request.action == "BatchWriteItem" and b"guard-" in request.body


@pytest.mark.parametrize(
    ("step", "takes_effect", "landed"),
    [(commits, False, False), (commits, True, True), (puts_items, True, True), (completes_claims, True, True)],
    ids=["claimed", "merged", "some items put", "some claims completed"],
)
def test_a_job_that_was_killed_is_finished_by_the_function_and_by_its_repeat(
    watched_job: Job,
    proxy: FaultProxy,
    tmp_path: Path,
    step: Callable[[Request], bool],
    takes_effect: bool,
    landed: bool,
) -> None:
    contents = Contents(watched_job.stores)
    path = write_lines(tmp_path / "history.jsonl", EVENTS)
    with watched_job.started(path, "--sales-per-chunk", 100) as process:
        killing = Fault(
            "killed",
            Timing.AT_ONCE if takes_effect else Timing.NEVER,
            Reply.NOTHING,
            before=None if takes_effect else lambda: kill(process),
            after=(lambda: kill(process)) if takes_effect else None,
        )
        injected: list[Request] = []

        def policy(_number: int, request: Request) -> Fault:
            # Requests that are sent side by side with this one are lost with the job.
            if injected:
                return DROPPED
            if not step(request):
                return PASS
            injected.append(request)
            return killing

        proxy.begin(policy)
        process.wait(timeout=240)
    assert injected
    assert contents.table.sale_ids() == (SALE_IDS if landed else [])
    assert not contents.verified().consistent

    proxy.begin()
    contents.end_leases()
    assert contents.deliver(contents.function(), DELIVERED_FIRST) == []
    report = watched_job.run(path, "--sales-per-chunk", 100)
    assert report["landed"] == (0 if landed else len(EVENTS) - len(DELIVERED_FIRST))
    assert contents.table.sale_ids() == SALE_IDS
    assert len(contents.items()) == YOUNG_SALES
    assert contents.verified().consistent
