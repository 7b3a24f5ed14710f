"""What is delivered: realistic sales as a queue delivers them, and sales of one partition for a single append."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from itertools import count
from typing import Any, Final

from carousel_sync.bench.payloads import queue_record
from carousel_sync.events.generate import Recipe, generate
from carousel_sync.planning.capacity import INVOCATION_LIMIT_BYTES
from lambda_fn.sale import Sale
from tests import builders

DIMENSION: Final = 1024

_QUEUE_ARN: Final = "arn:aws:sqs:eu-west-1:000000000000:carousel-sync-bench"
_ONE_DAY: Final = "2026-03-14"
_UNTIL: Final = date(2026, 3, 15)
_seeds: Final = count(1)


def envelopes(number: int, dimension: int = DIMENSION) -> Iterator[dict[str, Any]]:
    """Yield distinct valid events, other ones at each call."""
    recipe = Recipe(
        number, seed=next(_seeds), until=_UNTIL, tenants=3, duplicates=0.0, invalid=0.0, embedding=dimension
    )
    return (event.envelope for event in generate(recipe))


def batch(number: int, dimension: int = DIMENSION) -> dict[str, Any]:
    """Return an invocation's event: an SQS batch of distinct sales, other ones at each call."""
    return {"Records": [record(envelope) for envelope in envelopes(number, dimension)]}


def one_partition_batch(number: int, dimension: int = DIMENSION) -> dict[str, Any]:
    """Return a batch whose sales are all of one tenant and month."""
    envelopes_of_one = list(envelopes(number, dimension))
    for envelope in envelopes_of_one:
        sale_id = f"SALE-{envelope['id']}"  # One product may be sold twice, and not on one day without an id.
        envelope["detail"].update(tenantId="tenant-1", soldDate=_ONE_DAY, saleId=sale_id)
        envelope["time"] = f"{_ONE_DAY}T10:00:00Z"
    return {"Records": [record(envelope) for envelope in envelopes_of_one]}


def largest_batch(dimension: int) -> str:
    """Return the largest batch that an invocation can carry, as the runtime receives it."""
    records: list[str] = []
    size = len('{"Records": []}')
    for envelope in envelopes(10_000, dimension):
        text = json.dumps(record(envelope))
        if size + len(text) + 2 > INVOCATION_LIMIT_BYTES:
            break
        records.append(text)
        size += len(text) + 2
    return f'{{"Records": [{", ".join(records)}]}}'


def record(envelope: dict[str, Any]) -> dict[str, Any]:
    """Return a message as an SQS event source hands it over."""
    return queue_record(envelope, _QUEUE_ARN)


def sales_of_one_partition(number: int, dimension: int = DIMENSION) -> list[Sale]:
    """Return distinct sales of one tenant and month, other ones at each call."""
    seed = next(_seeds)
    vectors = [builders.embedding(dimension, seed * number + n) if dimension else None for n in range(number)]
    return [
        builders.sale(
            product_id=f"product-{seed}-{n}",
            sale_id=f"sale-{seed}-{n}",
            embedding=vector,
            embedding_id=f"emb-{n}",
        )
        for n, vector in enumerate(vectors)
    ]
