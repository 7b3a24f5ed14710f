"""What the handlers are invoked with: generated sales in SQS batches, one file for each invocation."""

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
_RECORDS_LIMIT_BYTES: Final = INVOCATION_LIMIT_BYTES - len('{"Records":[]}')


@dataclass(frozen=True)
class Payload:
    """A batch in a file. ``messages`` is how many it holds; ``deliveries`` counts this delivery too."""

    path: Path
    messages: int
    deliveries: int = 1


@dataclass(frozen=True)
class Prepared:
    """The batches, and the sales in them as ``carousel_sync.consistency.compare.name_of`` names them."""

    payloads: list[Payload]
    sales: frozenset[str]


def prepare(
    recipe: Recipe, batch_size: int, queue_arn: str, folder: Path, on_batch: Callable[[int], None] = lambda _: None
) -> Prepared:
    """Write the batches to the folder. ``on_batch`` is called with the number of events in each.

    A batch holds ``batch_size`` events, or as many as fit into one invocation.
    """
    payloads: list[Payload] = []
    envelopes = (event.envelope for event in generate(recipe))
    sales: set[str] = set()

    def record(envelope: dict[str, Any]) -> bytes:
        sales.update(_sale_names(envelope))
        return orjson.dumps(queue_record(envelope, queue_arn))

    batches = constrained_batches(
        map(record, envelopes), _RECORDS_LIMIT_BYTES, batch_size, get_len=lambda text: len(text) + 1, strict=False
    )
    for batch in batches:
        path = folder / f"batch-{len(payloads)}.json"
        path.write_bytes(b'{"Records":[' + b",".join(batch) + b"]}")
        payloads.append(Payload(path, len(batch)))
        on_batch(len(batch))
    return Prepared(payloads, frozenset(sales))


def delivered_again(payload: Payload, given_back: Collection[str] | None) -> tuple[Payload, int]:
    """Write the given-back messages as a new batch. Returns it with the seconds until the queue delivers it.

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


def queue_record(envelope: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """Return an event as the message that an SQS event source hands over. The message has the event's id."""
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


def _sale_names(envelope: dict[str, Any]) -> list[str]:
    """Return the name of the event's sale, if it is valid. The embedding is irrelevant to it and slow to parse."""
    detail = {name: value for name, value in envelope["detail"].items() if name != "embedding"}
    content = parse_event("", {**envelope, "detail": detail}, "", "").content
    return [name_of(content.key)] if isinstance(content, Sale) else []
