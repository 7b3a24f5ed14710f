"""What the handlers are invoked with: generated sales, packed as the queue packs them, one file for each invocation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from more_itertools import constrained_batches

from carousel_sync.consistency.compare import name_of
from carousel_sync.events.generate import Recipe, generate
from carousel_sync.planning.capacity import INVOCATION_LIMIT_BYTES
from lambda_fn.event import parse_event
from lambda_fn.redelivery import wait_seconds
from lambda_fn.sale import Sale

_RECEIPT: Final = "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a" * 8


@dataclass(frozen=True)
class Payload:
    """A batch in a file, and how many messages it holds. ``deliveries`` counts this one."""

    path: Path
    messages: int
    deliveries: int = 1


@dataclass(frozen=True)
class Prepared:
    """The batches, and the sales in them, by ``carousel_sync.consistency.compare.name_of``."""

    payloads: list[Payload]
    sales: frozenset[str]


def prepare(
    recipe: Recipe, batch_size: int, queue_arn: str, folder: Path, written: Callable[[int], None] = lambda _: None
) -> Prepared:
    """Write the batches; ``written`` is called with the number of events of each.

    A batch ends at ``batch_size``, or sooner where an invocation can't carry more.
    """
    payloads: list[Payload] = []
    sales: set[str] = set()
    events = (event.envelope for event in generate(recipe))
    records = (orjson.dumps(queue_record(_remember(envelope, sales), queue_arn)) for envelope in events)
    room = INVOCATION_LIMIT_BYTES - len('{"Records":[]}')
    for batch in constrained_batches(records, room, batch_size, get_len=lambda record: len(record) + 1, strict=False):
        path = folder / f"batch-{len(payloads)}.json"
        path.write_bytes(b'{"Records":[' + b",".join(batch) + b"]}")
        payloads.append(Payload(path, len(batch)))
        written(len(batch))
    return Prepared(payloads, frozenset(sales))


def delivered_again(payload: Payload, given_back: Collection[str] | None) -> tuple[Payload, int]:
    """Write the given-back messages as a batch of their own; return it, and after how many seconds it is due.

    None stands for all messages: the invocation failed as a whole.
    """
    records = orjson.loads(payload.path.read_bytes())["Records"]
    again = [record for record in records if given_back is None or record["messageId"] in given_back]
    wait = wait_seconds(again[0])
    for record in again:
        record["attributes"]["ApproximateReceiveCount"] = str(payload.deliveries + 1)
    path = payload.path.with_name(f"{payload.path.stem}-again.json")
    path.write_bytes(orjson.dumps({"Records": again}))
    return Payload(path, len(again), payload.deliveries + 1), wait


def _remember(envelope: dict[str, Any], sales: set[str]) -> dict[str, Any]:
    """Note which sale the event tells of. Its embedding is no part of that, and most of the work of reading it."""
    detail = {name: value for name, value in envelope["detail"].items() if name != "embedding"}
    content = parse_event("", {**envelope, "detail": detail}, "", "").content
    if isinstance(content, Sale):
        sales.add(name_of(content.key))
    return envelope


def queue_record(envelope: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """Return an event's message as an SQS event source hands it over; its id is that of the event."""
    body = orjson.dumps(envelope).decode()
    return {
        "messageId": envelope["id"],
        "receiptHandle": _RECEIPT,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1773568801000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1773568801001",
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
