"""Kills the deployed function's processes at random moments while events arrive, and then waits for the queue to drain.

python -m tests.faults.kill                                            1,000 events; leases expire when they are over
python -m tests.faults.kill --events 150 --kills 5 --expire-leases     as in make test
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from carousel_sync.aws.target import Target, function_name
from carousel_sync.consistency.compare import Report
from carousel_sync.consistency.verify import verify_target
from carousel_sync.local_stack.stack import DeliveryMode, LocalStack
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.release.project_zip import package_code
from lambda_fn.commit_queue.items import LEASE, PARTITION_PREFIX, queue_partition, read_lease
from lambda_fn.settings import GroupCommitMode
from tests import builders
from tests.stack import publish
from tests.waiting import holds_within

# The deployed queue has 660 s, for invocations of up to 60 s. Here a batch takes a few seconds.
VISIBILITY_SECONDS: Final = 6
CONCURRENCY: Final = 2
# From the moment at which claims are open to the kill. Within this time an invocation uses all its stores.
MAX_DELAY_SECONDS: Final = 0.4
_DUPLICATE_SHARE: Final = 0.05
_ENTRIES_PER_REQUEST: Final = 10
_BUSY_SECONDS: Final = 60.0


class Claim(NamedTuple):
    """The part of a guard item that shows which attempt works on which sale."""

    partition: str
    sort: str
    status: str
    owner: str


@dataclass
class KillFigures:
    """The figures of a run. ``interrupted`` counts, for each kill, the sales whose claims were open."""

    events: int = 0
    sales: int = 0
    kills: int = 0
    interrupted: list[int] = field(default_factory=list)
    seconds: float = 0.0
    report: Report | None = None

    def row(self, name: str) -> dict[str, Any]:
        """Return the figures as a row of a table."""
        report = self.report
        assert report is not None
        return {
            "harness": name,
            "events": self.events,
            "sales": self.sales,
            "kills": self.kills,
            "sales interrupted": sum(self.interrupted),
            "rows": report.rows,
            "items": report.items,
            "lost": len(set(report.missing_rows) | set(report.missing_items)) + self.sales - report.sales,
            "doubled": len(report.doubled_rows),
            "open claims": len(report.open_claims),
            "seconds": f"{self.seconds:.0f}",
        }


class KillRun:
    """A run against a deployed stack.

    ``expire_leases`` ends every lease after each kill, including those of living processes. Safety does not depend on
    leases, and the run need not wait for them.
    """

    def __init__(self, stack: LocalStack, seed: int, *, expire_leases: bool) -> None:
        self._target: Target = stack.target()
        pid = stack.status().pid
        assert pid is not None
        self._emulator = pid
        self._random = random.Random(seed)
        self._expire_leases = expire_leases
        self._guard = self._target.settings.guard_table
        self._seen: set[Claim] = set()

    def run(self, events: int, kills: int, batch_size: int, drain_seconds: float) -> KillFigures:
        """Send events, kill processes, wait until the queue is empty, and compare the stores."""
        started = time.monotonic()
        self._configure(batch_size)
        details = self._details(events)
        figures = KillFigures(events=len(details), sales=events)
        sender = threading.Thread(target=self._send, args=(details,))
        sender.start()
        while figures.kills < kills and holds_within(self._is_busy, _BUSY_SECONDS):
            threading.Event().wait(self._random.uniform(0, MAX_DELAY_SECONDS))
            figures.kills += self._kill_workers()
            figures.interrupted.append(len(self._open_claims() - self._seen))
            self._end_leases()
            self._seen = self._claims()
        sender.join()
        drained = holds_within(self._is_drained, drain_seconds)
        figures.seconds = time.monotonic() - started
        assert drained, f"not drained after {drain_seconds} s: {len(self._open_claims())} open claims"
        figures.report = verify_target(self._target)
        return figures

    def _configure(self, batch_size: int) -> None:
        client = self._target.client("lambda")
        name = function_name(self._target.stage)
        (mapping,) = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        client.update_event_source_mapping(
            UUID=mapping["UUID"],
            BatchSize=batch_size,
            MaximumBatchingWindowInSeconds=1,
            ScalingConfig={"MaximumConcurrency": CONCURRENCY},
        )
        self._queue_url = self._target.client("sqs").get_queue_url(
            QueueName=mapping["EventSourceArn"].rpartition(":")[2]
        )["QueueUrl"]
        self._target.client("sqs").set_queue_attributes(
            QueueUrl=self._queue_url, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        )

    def _details(self, events: int) -> list[str]:
        """Return events in random order: sales of two tenants and months, some of them twice."""
        sales = [
            builders.event(
                tenantId=f"tenant-{number % 2}", saleId=f"sale-{number}", soldDate=f"2026-0{number % 4 // 2 + 1}-10"
            )["detail"]
            for number in range(events)
        ]
        details = sales + self._random.sample(sales, int(events * _DUPLICATE_SHARE))
        self._random.shuffle(details)
        return [json.dumps(detail) for detail in details]

    def _send(self, details: Sequence[str]) -> None:
        client = self._target.client("events")
        for start in range(0, len(details), _ENTRIES_PER_REQUEST):
            entries = [
                {"Source": "carousel.products", "DetailType": "carousel.product.sold", "Detail": detail}
                for detail in details[start : start + _ENTRIES_PER_REQUEST]
            ]
            assert client.put_events(Entries=entries)["FailedEntryCount"] == 0

    def _kill_workers(self) -> int:
        workers = list(_children(self._emulator))
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        return len(workers)

    def _is_busy(self) -> bool:
        """Whether a process has claimed or completed a sale since the last kill."""
        return not self._claims() <= self._seen

    def _claims(self) -> set[Claim]:
        """Return all claims."""
        pages = (
            self._target.client("dynamodb").get_paginator("scan").paginate(TableName=self._guard, ConsistentRead=True)
        )
        return {
            Claim(item["pk"]["S"], item["sk"]["S"], item["status"]["S"], item.get("owner", {}).get("N", ""))
            for page in pages
            for item in page["Items"]
            if not item["pk"]["S"].startswith(PARTITION_PREFIX)
        }

    def changes_of_the_lease(self) -> int:
        """Return how often the commit queue's lease has changed."""
        settings = self._target.settings
        key = {"pk": {"S": queue_partition(settings.table_identifier)}, "sk": {"S": LEASE}}
        answer = self._target.client("dynamodb").get_item(TableName=self._guard, Key=key, ConsistentRead=True)
        lease = read_lease(answer["Item"]) if "Item" in answer else None
        return lease.number if lease is not None else 0

    def _open_claims(self) -> set[Claim]:
        return {claim for claim in self._claims() if claim.status == "IN_PROGRESS"}

    def _end_leases(self) -> None:
        for claim in self._open_claims() if self._expire_leases else ():
            with contextlib.suppress(ClientError):  # The claim was completed meanwhile.
                self._target.client("dynamodb").update_item(
                    TableName=self._guard,
                    Key={"pk": {"S": claim.partition}, "sk": {"S": claim.sort}},
                    UpdateExpression="SET leaseUntil = :ended",
                    ConditionExpression="#status = :open",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={":ended": {"N": "0"}, ":open": {"S": "IN_PROGRESS"}},
                )

    def _is_drained(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        client = self._target.client("sqs")
        depths = client.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=names)["Attributes"]
        return not any(int(depth) for depth in depths.values())


@contextlib.contextmanager
def deployed(
    folder: Path, seed: int, *, expire_leases: bool, control: bool = False, in_groups: bool = False
) -> Iterator[KillRun]:
    """Deploy the template to a new emulator.

    With ``control``, the naive writer replaces the function's code. With ``in_groups``, group commit is forced on.
    """
    with LocalStack(folder) as stack:
        stack.up(DeliveryMode.QUEUE)
        if control:
            _replace_code(stack.target())
        if in_groups:
            _force_groups(stack.target())
        yield KillRun(stack, seed, expire_leases=expire_leases)


def _replace_code(target: Target) -> None:
    content = io.BytesIO(package_code(PROJECT_ROOT).content)
    with zipfile.ZipFile(content, "a") as archive:
        sources = [path for name in ("tests", "testbed") for path in (PROJECT_ROOT / name).rglob("*.py")]
        for path in [*sources, PROJECT_ROOT / "template.yaml"]:
            archive.write(path, path.relative_to(PROJECT_ROOT))
    client, name = target.client("lambda"), function_name(target.stage)
    client.update_function_code(FunctionName=name, ZipFile=content.getvalue())
    client.update_function_configuration(FunctionName=name, Handler="tests.faults.harness.naive_lambda.handler")
    publish(target)


def _force_groups(target: Target) -> None:
    client, name = target.client("lambda"), function_name(target.stage)
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    forced = {**variables, "GROUP_COMMIT": GroupCommitMode.ALWAYS.value}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": forced})
    publish(target)


def _children(parent: int) -> Iterator[int]:
    """Yield the processes in which the emulator runs functions."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent and b"_worker.py" in (folder / "cmdline").read_bytes():
                    yield int(folder.name)


if __name__ == "__main__":
    from tests.faults.harness.commands import kill_command

    kill_command()
