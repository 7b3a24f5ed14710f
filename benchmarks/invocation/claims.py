"""Three ways to claim the sales of a batch in DynamoDB. The comparison justifies the guard's choice."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import boto3
from botocore.config import Config
from more_itertools import chunked

from benchmarks.measuring import Bench, paired_ratio, timed
from benchmarks.report import Row
from lambda_fn.aws.batch_requests import Batches
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.guard.items import claimed_item
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.sale import Sale
from lambda_fn.wiring import WORKERS, new_attempt_id
from testbed.emulator import REGION
from testbed.proxied_emulator import counted
from testbed.sales import one_partition_sales

SALES: Final = 500
DELAY_MILLISECONDS: Final = 5
# Amazon DynamoDB API Reference, TransactWriteItems.
TRANSACTION_LIMIT: Final = 100
_LEASE_SECONDS: Final = 60.0
_TIMEOUT_SECONDS: Final = 600.0

# Amazon DynamoDB Developer Guide, "DynamoDB read and write operations": a claim is under 1 KB, so a write takes one
# unit, and two in a transaction.
WRITE_UNITS: Final = {"PartiQL batches": SALES, "transactions": 2 * SALES, "single puts": SALES}

Claim = Callable[[Sequence[Sale]], object]


def compare_claims(bench: Bench) -> list[Row]:
    """Claim batches of new sales in PartiQL batches, as the guard does, in transactions, and in single puts."""
    emulator = bench.emulator
    claims = _claims(emulator.create_stores().guard_table, emulator.proxy)

    def new_sales() -> list[Sale]:
        return one_partition_sales(SALES, 0)

    emulator.delay(DELAY_MILLISECONDS)
    measured = {name: timed(new_sales, claim) for name, claim in claims.items()}
    milliseconds = bench.alternate(measured, bench.repetitions(8))
    requests: dict[str, int] = {}
    for name, claim in claims.items():
        emulator.delay(DELAY_MILLISECONDS)
        claim(new_sales())
        requests[name] = counted(emulator.requests()).total()
        bench.note(f"{SALES} claims by {name}", requests=requests[name], write_units=WRITE_UNITS[name])
    emulator.delay(0)
    name, *others = claims
    ours = milliseconds[name]
    text = f"{SALES} claims in {requests[name]} requests and {WRITE_UNITS[name]} write units; anchor:"
    texts = {other: f"{text} {other}, {requests[other]} requests, {WRITE_UNITS[other]:,} units" for other in others}
    anchors = {texts[other]: milliseconds[other] for other in others}
    return [Row(text, "ms", ours, anchor, paired_ratio(anchor, ours)) for text, anchor in anchors.items()]


def _claims(table: str, endpoint: str) -> dict[str, Claim]:
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=WORKERS, parameter_validation=False)
    session: Any = boto3.Session(region_name=REGION)
    client = session.client("dynamodb", endpoint_url=endpoint, config=config)
    clock, threads = SystemClock(), Threads(WORKERS)
    retry = Retry(clock, random.SystemRandom())
    guard = DynamoDBGuard(Batches(client, guard_table(table), retry, threads), clock, retry)

    def put(sale: Sale) -> dict[str, Any]:
        item = claimed_item(sale.key, sale.facts, new_attempt_id(), NO_SNAPSHOT, clock.now(), _LEASE_SECONDS)
        return {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}

    def in_batches(sales: Sequence[Sale]) -> object:
        return guard.claim(
            sales, new_attempt_id(), NO_SNAPSHOT, _LEASE_SECONDS, Deadline.after(clock, _TIMEOUT_SECONDS)
        )

    def in_transactions(sales: Sequence[Sale]) -> object:
        return threads.map(
            lambda chunk: client.transact_write_items(TransactItems=[{"Put": put(sale)} for sale in chunk]),
            list(chunked(sales, TRANSACTION_LIMIT)),
        )

    def in_single_puts(sales: Sequence[Sale]) -> object:
        return threads.map(lambda sale: client.put_item(**put(sale)), sales)

    return dict(zip(WRITE_UNITS, (in_batches, in_transactions, in_single_puts), strict=True))
