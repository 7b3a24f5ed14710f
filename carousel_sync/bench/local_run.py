"""One run of the benchmark: prepare batches or events, deliver them to handlers, and verify what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import Target
from carousel_sync.bench import load, payloads
from carousel_sync.bench.figures import Figures, Outcome, Setup
from carousel_sync.consistency.verify import verify_target
from lambda_fn.iceberg.history import snapshot_node


def run_benchmark(
    setup: Setup,
    target: Target,
    folder: Path,
    on_prepared: Callable[[int], None] = lambda _: None,
    on_answer: load.OnAnswer = lambda _: None,
) -> Figures:
    """Prepare the batches or events in the folder, deliver them, and verify them. The stack may hold other sales.

    ``on_prepared`` is called with the number of events in each file, ``on_answer`` after each invocation. Raises
    ConfigurationError, StoreUnavailable and TableMissing; what was stored until then stays.
    """
    prepared = _prepare(setup, target, folder, on_prepared)
    before = target.load_table()
    tally = load.run(prepared.payloads, setup.concurrency, target.environment, on_answer)
    after = target.load_table()
    return Figures(setup, tally, outcome_of(target, prepared.sales, before, after))


def _prepare(setup: Setup, target: Target, folder: Path, on_prepared: Callable[[int], None]) -> payloads.Prepared:
    if setup.is_direct:
        return payloads.prepare_events(setup.recipe(), folder, on_prepared)
    url = buffer_queue.buffer_queue_url(target)
    queue = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = str(queue["Attributes"]["QueueArn"])
    return payloads.prepare(setup.recipe(), setup.batch_size, arn, folder, on_prepared)


def outcome_of(target: Target, names: frozenset[str], before: Table, after: Table) -> Outcome:
    """Verify the sales of these names, and compare the table before and after."""
    groups = group_sizes(after) - group_sizes(before)
    commits = groups.total()
    data_files = _data_files(after) - _data_files(before)
    snapshot_bytes = (_metadata_bytes(after) - _metadata_bytes(before)) / max(1, commits)
    return Outcome(names, verify_target(target, only=names), commits, data_files, snapshot_bytes, groups)


def group_sizes(table: Table) -> Counter[int]:
    """Return the number of snapshots that added sales, by the number of attempts that each landed.

    A merge of manifests adds none.
    """
    return Counter(_group_sizes(table))


def _group_sizes(table: Table) -> Iterator[int]:
    for snapshot in table.snapshots():
        if snapshot.summary is not None and snapshot.summary.operation is Operation.APPEND:
            properties = snapshot.summary.additional_properties
            yield 1 + len(snapshot_node(snapshot.snapshot_id, None, 0, properties).landed)


def _data_files(table: Table) -> int:
    head = table.current_snapshot()
    return int((head.summary["total-data-files"] if head and head.summary else None) or 0)


def _metadata_bytes(table: Table) -> int:
    with table.io.new_input(table.metadata_location).open() as stream:
        return len(stream.read())
