"""The composition root: from the environment to a running application, at the first call and not at import.

Nothing random and nothing connected exists before that, so that a snapshot of an initialised function (Lambda
SnapStart) can be restored many times.
"""

from __future__ import annotations

import os
import random
from functools import lru_cache, partial
from typing import Final

from catalog_config.connect import connect
from lambda_fn.application import Application
from lambda_fn.aws.batch_requests import Batches
from lambda_fn.dead_letters.dead_letter_queue import SQSDeadLetters
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.iceberg.pyiceberg_store import PyIcebergStore
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.json_requests import DynamoDBRequests, SQSRequests
from lambda_fn.process_deliveries import ProcessDeliveries
from lambda_fn.projection.projection_table import DynamoDBProjection, projection_table
from lambda_fn.redelivery import SQSRedelivery
from lambda_fn.runtime.parallel import Parallel, Threads
from lambda_fn.runtime.retry import Clock, Retry, SystemClock
from lambda_fn.runtime.startup import nothing_is_garbage
from lambda_fn.settings import Settings
from lambda_fn.sync_sales import SyncSales
from lambda_fn.telemetry import PowertoolsTelemetry

WORKERS: Final = 16
# Between two tries to commit. A refusal comes within a round trip: where every loser waited seconds, the winner would
# be done and nobody would commit meanwhile (docs/performance.md, "Contention"). A catalog that is out of order is asked
# as often: some 150 times in an invocation's minute, by each of the few that run at the same time.
LONGEST_COMMIT_PAUSE_SECONDS: Final = 0.5


@lru_cache(maxsize=1)
def application() -> Application:
    """Return the application of this process, made at the first call. Raises ConfigurationError."""
    with nothing_is_garbage():
        return build(Settings.from_environment(os.environ))


def build(settings: Settings, clock: Clock | None = None) -> Application:
    """Make an application. Opens no connection."""
    clock = clock or SystemClock()
    retry = Retry(clock, random.SystemRandom())
    parallel = Threads(WORKERS)
    telemetry = PowertoolsTelemetry(settings.stage)
    request_seconds = settings.connect_timeout_seconds + settings.read_timeout_seconds

    where = (
        settings.region,
        settings.endpoint_url,
        settings.connect_timeout_seconds,
        settings.read_timeout_seconds,
        WORKERS,
    )
    tables, queues = DynamoDBRequests(*where), SQSRequests(*where)
    batched = partial(Batches, tables, retry=retry, parallel=parallel, request_seconds=request_seconds)
    guard_batches = batched(guard_table(settings.guard_table), throttled=telemetry.throttled)
    projection_batches = batched(projection_table(settings.projection_table), throttled=telemetry.throttled)
    projection = DynamoDBProjection(projection_batches)
    sync_sales = SyncSales(
        guard=DynamoDBGuard(guard_batches, clock, retry),
        table=sales_table(settings, clock, parallel, telemetry),
        projection=projection,
        telemetry=telemetry,
        clock=clock,
        retry=retry,
        parallel=parallel,
        new_attempt_id=new_attempt_id,
    )
    dead_letters = SQSDeadLetters(queues, settings.dead_letter_queue_url, retry, request_seconds)
    return Application(
        process=ProcessDeliveries(sync_sales, projection, dead_letters, telemetry),
        redelivery=SQSRedelivery(queues, settings.region, settings.endpoint_url, request_seconds),
        telemetry=telemetry,
        clock=clock,
    )


def sales_table(
    settings: Settings, clock: Clock, parallel: Parallel, telemetry: PowertoolsTelemetry
) -> IcebergSalesTable:
    """Make the writer of the Iceberg table alone, as the application has it. Opens no connection."""
    catalog = settings.catalog
    store = PyIcebergStore(
        open_catalog=lambda: connect(catalog, telemetry.table_answered),
        identifier=settings.table_identifier,
        parallel=parallel,
        clock=clock,
        request_seconds=catalog.connect_timeout_seconds + catalog.read_timeout_seconds,
    )
    return IcebergSalesTable(store, Retry(clock, random.SystemRandom(), longest_seconds=LONGEST_COMMIT_PAUSE_SECONDS))


def new_attempt_id() -> int:
    """Return a random 63-bit positive integer from the operating system, so that no two processes share a seed."""
    return random.SystemRandom().randrange(1, 2**63)
