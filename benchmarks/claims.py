"""Three ways to claim the sales of a batch: which of them is the cheapest is why the guard is as it is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import boto3
from botocore.config import Config
from more_itertools import chunked

from benchmarks.events import sales_of_one_partition
from benchmarks.measuring import Bench, alternate
from benchmarks.report import Row, paired_ratio
from benchmarks.stand import Stand, Stores, counted
from lambda_fn.aws.batch_requests import Batches
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.guard.items import claimed_item
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.sale import Sale
from lambda_fn.wiring import WORKERS, new_attempt_id
from tests.engines.fixtures import REGION

SALES: Final = 500
DELAY_MILLISECONDS: Final = 5
# Amazon DynamoDB API Reference, TransactWriteItems.
TRANSACTION_LIMIT: Final = 100
_LEASE_SECONDS: Final = 60.0
_NOT_THERE: Final = "attribute_not_exists(pk)"

# Amazon DynamoDB Developer Guide, "DynamoDB read and write operations": a claim is under 1 KB, so one unit a write,
# and two where it is transactional.
WRITE_UNITS: Final = {"PartiQL batches": SALES, "transactions": 2 * SALES, "single puts": SALES}

Claim = Callable[[Sequence[Sale]], None]


def ways_to_claim(bench: Bench) -> list[Row]:
    """Claim batches of new sales each way in turn: PartiQL batches, as the guard does, transactions, single puts."""
    stand = bench.stand
    ways = _ways(stand, stand.stores())
    stand.delay(DELAY_MILLISECONDS)
    seconds = alternate(bench, {name: _timed(claim) for name, claim in ways.items()}, bench.repetitions(8))
    requests: dict[str, int] = {}
    for name, claim in ways.items():
        stand.delay(DELAY_MILLISECONDS)
        claim(sales_of_one_partition(SALES, 0))
        requests[name] = sum(counted(stand.passed()).values())
        bench.note(f"{SALES} claims by {name}", requests=requests[name], write_units=WRITE_UNITS[name])
    stand.delay(0)
    ours, *others = ways
    return [
        Row(
            f"{SALES} claims in {requests[ours]} requests and {WRITE_UNITS[ours]} write units; anchor: {other}, "
            f"{requests[other]} requests, {WRITE_UNITS[other]:,} units",
            "ms",
            [taken * 1000 for taken in seconds[ours]],
            "",
            met=None,
            anchor=[taken * 1000 for taken in seconds[other]],
            ratio=paired_ratio(seconds[other], seconds[ours]),
        )
        for other in others
    ]


def _timed(claim: Claim) -> Callable[[], float]:
    def run() -> float:
        sales = sales_of_one_partition(SALES, 0)
        started = time.perf_counter()
        claim(sales)
        return time.perf_counter() - started

    return run


def _ways(stand: Stand, stores: Stores) -> dict[str, Claim]:
    name = stores.guard_table
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=WORKERS, parameter_validation=False)
    session: Any = boto3.Session(region_name=REGION)
    client = session.client("dynamodb", endpoint_url=stand.proxy, config=config)
    clock, threads = SystemClock(), Threads(WORKERS)
    retry = Retry(clock, random.SystemRandom())
    guard = DynamoDBGuard(Batches(client, guard_table(name), retry, threads), clock, retry)

    def put(sale: Sale) -> dict[str, Any]:
        item = claimed_item(sale.key, sale.payload_hash, new_attempt_id(), NO_SNAPSHOT, clock.now(), _LEASE_SECONDS)
        return {"TableName": name, "Item": item, "ConditionExpression": _NOT_THERE}

    def by_statements(sales: Sequence[Sale]) -> None:
        guard.claim(sales, new_attempt_id(), NO_SNAPSHOT, _LEASE_SECONDS, Deadline.after(clock, 600))

    def by_transactions(sales: Sequence[Sale]) -> None:
        threads.map(
            lambda some: client.transact_write_items(TransactItems=[{"Put": put(sale)} for sale in some]),
            list(chunked(sales, TRANSACTION_LIMIT)),
        )

    def one_by_one(sales: Sequence[Sale]) -> None:
        threads.map(lambda sale: client.put_item(**put(sale)), sales)

    return dict(zip(WRITE_UNITS, (by_statements, by_transactions, one_by_one), strict=True))
