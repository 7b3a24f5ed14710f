"""What Spark's Python workers do in DynamoDB: claim sales before the MERGE, put items and complete claims after it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

import pyarrow as pa
from more_itertools import chunked

from carousel_sync.consistency.table_rows import rows_of
from lambda_fn.aws.batch_requests import Batches
from lambda_fn.aws.clients import dynamodb_client
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.ports import AlreadyCompleted, Claimed, ClaimResult, Completion, HeldByAnother, Unreadable
from lambda_fn.projection.projection_table import DynamoDBProjection, projection_table
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.sale import FactsDigest, Sale, SaleKey
from lambda_fn.settings import Settings

SALES_AT_ONCE: Final = 1000
THREADS: Final = 8
"""Requests that one Python worker sends side by side."""


class Outcome(StrEnum):
    """What became of a sale in the guard and the projection."""

    CLAIMED = "claimed"
    STORED = "stored"
    CONFLICT = "conflict"
    HELD = "held"


class Decision(NamedTuple):
    """The outcome of a sale. A CLAIMED one has the earlier attempts, a HELD one the cause, and when to try again."""

    key: SaleKey
    outcome: Outcome
    earlier: Sequence[int] = ()
    lease_until: float = 0.0
    cause: str = ""


DECISION_DDL: Final = (
    "tenant_id string, sale_id string, outcome string, earlier array<bigint>, lease_until double, cause string"
)
_DECISION: Final = pa.schema(
    {
        "tenant_id": pa.string(),
        "sale_id": pa.string(),
        "outcome": pa.string(),
        "earlier": pa.list_(pa.int64()),
        "lease_until": pa.float64(),
        "cause": pa.string(),
    }
)


class _Stores(NamedTuple):
    guard: DynamoDBGuard
    projection: DynamoDBProjection


@cache
def _stores(settings: Settings) -> _Stores:
    """Return the stores of this process, which has one set of connections however many batches it handles."""
    clock, parallel = SystemClock(), Threads(THREADS)
    retry = Retry(clock, random.SystemRandom())
    client = dynamodb_client(settings, THREADS)
    guard, projection = (
        Batches(client, table, retry, parallel, settings.request_seconds)
        for table in (guard_table(settings.guard_table), projection_table(settings.projection_table))
    )
    return _Stores(DynamoDBGuard(guard, clock, retry), DynamoDBProjection(projection))


@dataclass(frozen=True)
class Claim:
    """Claims batches of rows for an attempt, and looks for their items: steps 3 and 4 of the protocol.

    ``field_ids`` are those of the rows' columns, by name. Raises StoreUnavailable; the attempt may hold claims then,
    which the next run takes over.
    """

    settings: Settings
    field_ids: Mapping[str, int]
    attempt_id: int
    pin: int
    lease_seconds: float

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the decision for each row."""
        for sales in _sales(batches, self.field_ids):
            yield _batch(self._decide(sales))

    def _decide(self, sales: Sequence[Sale]) -> list[Decision]:
        stores = _stores(self.settings)
        deadline = Deadline.after(SystemClock(), self.lease_seconds)
        results = stores.guard.claim(sales, self.attempt_id, self.pin, self.lease_seconds, deadline)
        claimed = [result.sale for result in results.values() if isinstance(result, Claimed)]
        stored = stores.projection.find(claimed, deadline)
        completions = [
            Completion(key, item.stored_facts, None) for key, item in stored.items() if isinstance(item, Sale)
        ]
        completed = stores.guard.complete(completions, deadline)
        decisions = []
        for sale in sales:
            item, result = stored.get(sale.key), results[sale.key]
            if item is None:
                decisions.append(_decision(sale, result))
            elif isinstance(item, Unreadable):
                decisions.append(Decision(sale.key, Outcome.HELD, cause=item.cause))
            elif sale.key not in completed:
                decisions.append(Decision(sale.key, Outcome.HELD, cause="the guard could not be completed in time"))
            else:
                decisions.append(Decision(sale.key, _compared(sale, item.stored_facts)))
        return decisions


@dataclass(frozen=True)
class Finish:
    """Puts the items of batches of the table's rows, and completes their claims: steps 8 and 9 of the protocol.

    A sale whose item would already have expired gets none. Raises StoreUnavailable; some items may be stored then.
    """

    settings: Settings
    field_ids: Mapping[str, int]
    seconds: float

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the decision for each row: STORED, or HELD if DynamoDB did not take the item in time."""
        for sales in _sales(batches, self.field_ids):
            yield _batch(self._finish(sales))

    def _finish(self, sales: Sequence[Sale]) -> list[Decision]:
        stores, clock = _stores(self.settings), SystemClock()
        deadline = Deadline.after(clock, self.seconds)
        now = clock.now()
        expired = {sale.key for sale in sales if sale.projection_expires_at <= now}
        projected = stores.projection.put([sale for sale in sales if sale.key not in expired], deadline)
        done = {*projected, *expired}
        completions = [Completion(sale.key, sale.stored_facts, None) for sale in sales if sale.key in done]
        completed = stores.guard.complete(completions, deadline)
        cause = "the projection item or the guard could not be written in time"
        return [
            Decision(sale.key, Outcome.STORED)
            if sale.key in completed
            else Decision(sale.key, Outcome.HELD, cause=cause)
            for sale in sales
        ]


def _decision(sale: Sale, result: ClaimResult) -> Decision:
    match result:
        case Claimed():
            return Decision(sale.key, Outcome.CLAIMED, result.earlier_attempts)
        case AlreadyCompleted():
            return Decision(sale.key, _compared(sale, result.facts))
        case HeldByAnother() if result.facts.conflicts_with(sale.facts):
            return Decision(sale.key, Outcome.CONFLICT)
        case HeldByAnother():
            return Decision(sale.key, Outcome.HELD, (), result.lease_until, "another attempt holds the sale")
        case _:
            return Decision(sale.key, Outcome.HELD, cause=result.cause)


def _compared(sale: Sale, stored: FactsDigest) -> Outcome:
    return Outcome.CONFLICT if stored.conflicts_with(sale.facts) else Outcome.STORED


def _sales(batches: Iterator[pa.RecordBatch], field_ids: Mapping[str, int]) -> Iterator[list[Sale]]:
    for batch in batches:
        columns: dict[int, Any] = {field_ids[name]: batch.column(name) for name in batch.schema.names}
        distinct = {row.sale.key: row.sale for row in rows_of(columns)}
        yield from chunked(distinct.values(), SALES_AT_ONCE)


def _batch(decisions: Sequence[Decision]) -> pa.RecordBatch:
    rows = [
        {**decision.key._asdict(), **decision._asdict(), "outcome": decision.outcome.value} for decision in decisions
    ]
    return pa.RecordBatch.from_pylist(rows, _DECISION)
