"""Generated sales: as events, as the queue delivers them, and as ``Sale`` objects. Each call returns new ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from itertools import count
from typing import Any, Final

from more_itertools import constrained_batches

from carousel_sync.bench.payloads import queue_record
from carousel_sync.events.generate import Recipe, generate
from carousel_sync.planning.capacity import INVOCATION_LIMIT_BYTES
from lambda_fn.event import parse_event
from lambda_fn.sale import Sale

DIMENSION: Final = 1024

_QUEUE_ARN: Final = "arn:aws:sqs:eu-west-1:000000000000:carousel-sync-bench"
_ONE_DAY: Final = "2026-03-14"
_UNTIL: Final = date(2026, 3, 15)
_seeds: Final = count(1)


def envelopes(number: int, dimension: int = DIMENSION) -> Iterator[dict[str, Any]]:
    """Yield distinct valid events with embeddings of this dimension; 0 means no embedding."""
    recipe = Recipe(
        number, seed=next(_seeds), until=_UNTIL, tenants=3, duplicates=0.0, invalid=0.0, embedding=dimension
    )
    return (event.envelope for event in generate(recipe))


def one_partition_envelopes(number: int, dimension: int = DIMENSION) -> Iterator[dict[str, Any]]:
    """Yield distinct valid events of one tenant and month."""
    for envelope in envelopes(number, dimension):
        # With a common date, the sale id must be explicit: the generator sells some products twice.
        sale_id = f"SALE-{envelope['id']}"
        envelope["detail"].update(tenantId="tenant-1", soldDate=_ONE_DAY, saleId=sale_id)
        yield {**envelope, "time": f"{_ONE_DAY}T10:00:00Z"}


def one_partition_sales(number: int, dimension: int = DIMENSION) -> list[Sale]:
    """Return distinct sales of one tenant and month."""
    contents = [parse_event("", event, "", "").content for event in one_partition_envelopes(number, dimension)]
    return [content for content in contents if isinstance(content, Sale)]


def batch(number: int, dimension: int = DIMENSION) -> dict[str, Any]:
    """Return an invocation's event: an SQS batch of distinct sales."""
    return {"Records": [_record(envelope) for envelope in envelopes(number, dimension)]}


def one_partition_batch(number: int, dimension: int = DIMENSION) -> dict[str, Any]:
    """Return an SQS batch of distinct sales of one tenant and month."""
    return {"Records": [_record(envelope) for envelope in one_partition_envelopes(number, dimension)]}


def largest_batch(dimension: int) -> str:
    """Return the largest SQS batch that an invocation can carry, as the JSON text that the runtime receives."""
    records = (json.dumps(_record(envelope)) for envelope in envelopes(10_000, dimension))
    limit = INVOCATION_LIMIT_BYTES - len('{"Records": []}')
    largest = next(constrained_batches(records, limit, get_len=lambda text: len(text) + 2))
    return f'{{"Records": [{", ".join(largest)}]}}'


def _record(envelope: dict[str, Any]) -> dict[str, Any]:
    return queue_record(envelope, _QUEUE_ARN)
