"""The composition root: from the environment to a running application, at the first call and not at import.

Nothing random and nothing connected exists before that, so that a snapshot of an initialized function (Lambda
SnapStart) can be restored many times.
"""

from __future__ import annotations

import os
import random
from functools import lru_cache
from typing import Final

from catalog_config.connect import connect
from lambda_fn.application import Application
from lambda_fn.aws.batch_requests import Batches
from lambda_fn.aws.clients import dynamodb_client, sqs_client
from lambda_fn.commit_queue.queue_table import DynamoDBCommitQueue
from lambda_fn.dead_letters.dead_letter_queue import SQSDeadLetters
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.iceberg.pyiceberg_store import PyIcebergStore
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.ports import SalesTable
from lambda_fn.process_deliveries import ProcessDeliveries
from lambda_fn.projection.projection_table import DynamoDBProjection, projection_table
from lambda_fn.redelivery import SQSRedelivery
from lambda_fn.runtime.parallel import Parallel, Threads
from lambda_fn.runtime.retry import Clock, Retry, SystemClock
from lambda_fn.runtime.startup import without_garbage_collection
from lambda_fn.settings import GroupCommitMode, Settings
from lambda_fn.sync_sales import SyncSales
from lambda_fn.telemetry import PowertoolsTelemetry, trace_requests

WORKERS: Final = 16
# Between two tries to commit. A catalog refuses within a round trip: if every loser waited for seconds, nobody would
# commit after the winner is done (docs/performance.md, "Contention"). A catalog that is down gets as many requests:
# some 150 per invocation, from the few invocations that run at the same time.
LONGEST_COMMIT_PAUSE_SECONDS: Final = 0.5


@lru_cache(maxsize=1)
def application() -> Application:
    """Return the application of this process, built at the first call. Raises ConfigurationError."""
    with without_garbage_collection():
        return build(Settings.from_environment(os.environ))


def build(settings: Settings, clock: Clock | None = None) -> Application:
    """Build an application. Opens no connection."""
    if settings.tracing:
        trace_requests()
    clock = clock or SystemClock()
    retry = Retry(clock, random.SystemRandom())
    parallel = Threads(WORKERS)
    telemetry = PowertoolsTelemetry(settings.stage)
    dynamodb = dynamodb_client(settings, WORKERS)
    sqs = sqs_client(settings, WORKERS)

    guard_batches, projection_batches = (
        Batches(dynamodb, table, retry, parallel, settings.request_seconds, telemetry.throttled)
        for table in (guard_table(settings.guard_table), projection_table(settings.projection_table))
    )
    projection = DynamoDBProjection(projection_batches)
    sync_sales = SyncSales(
        guard=DynamoDBGuard(guard_batches, clock, retry),
        table=sales_table(settings, clock, parallel, telemetry, guard_batches),
        projection=projection,
        telemetry=telemetry,
        clock=clock,
        retry=retry,
        parallel=parallel,
        new_attempt_id=new_attempt_id,
        look_up_every_sale=settings.look_up_every_sale,
    )
    dead_letters = SQSDeadLetters(sqs, settings.dead_letter_queue_url, retry, settings.request_seconds)
    return Application(
        process=ProcessDeliveries(sync_sales, projection, dead_letters, telemetry),
        redelivery=SQSRedelivery(sqs, settings.request_seconds),
        telemetry=telemetry,
        clock=clock,
        max_receive_count=settings.max_receive_count,
    )


def sales_table(
    settings: Settings,
    clock: Clock,
    parallel: Parallel,
    telemetry: PowertoolsTelemetry,
    guard_batches: Batches | None = None,
) -> SalesTable:
    """Make the writer of the Iceberg table alone, as the application has it. Opens no connection.

    Without ``guard_batches``, there is no commit queue, and every attempt commits alone.
    """
    catalog = settings.catalog
    identifier, group_commit = settings.table_identifier, settings.group_commit
    queue = None
    if guard_batches is not None and group_commit is not GroupCommitMode.OFF:
        queue = DynamoDBCommitQueue(guard_batches, identifier, clock, parallel)
    store = PyIcebergStore(
        open_catalog=lambda: connect(catalog, telemetry.table_answered),
        identifier=identifier,
        parallel=parallel,
        clock=clock,
        request_seconds=catalog.request_seconds,
    )
    retry = Retry(clock, random.SystemRandom(), longest_seconds=LONGEST_COMMIT_PAUSE_SECONDS)
    return IcebergSalesTable(
        store,
        retry,
        queue,
        always_in_groups=group_commit is GroupCommitMode.ALWAYS,
        report_queue_failure=lambda cause: telemetry.warning("[CarouselSync] Commit queue not used", cause=cause),
    )


def new_attempt_id() -> int:
    """Return a random 63-bit positive integer from the operating system, so that no two processes share a seed."""
    return random.SystemRandom().randrange(1, 2**63)
