"""What the handlers are invoked with: generated sales in SQS batches, or events. Each is a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
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

MAX_DELIVERIES: Final = 10
# AWS Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation": two retries, one
# minute after the first try and two minutes after the second.
MAX_DIRECT_DELIVERIES: Final = 3
DIRECT_RETRY_SECONDS: Final = 60
_RECEIPT: Final = "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a" * 8
_RECORDS_LIMIT_BYTES: Final = INVOCATION_LIMIT_BYTES - len('{"Records":[]}')


@dataclass(frozen=True)
class Payload:
    """A batch in a file, or one event if ``is_direct``.

    ``messages`` is how many it holds; ``deliveries`` counts this delivery too.
    """

    path: Path
    messages: int
    deliveries: int = 1
    is_direct: bool = False

    @property
    def is_last_delivery(self) -> bool:
        """Whether nothing of it is delivered again."""
        return self.deliveries == (MAX_DIRECT_DELIVERIES if self.is_direct else MAX_DELIVERIES)


@dataclass(frozen=True)
class Prepared:
    """The batches or events, and the sales in them as ``carousel_sync.consistency.compare.name_of`` names them."""

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


def prepare_events(recipe: Recipe, folder: Path, on_event: Callable[[int], None] = lambda _: None) -> Prepared:
    """Write each event to a file in the folder, and call ``on_event`` with 1 each time."""
    payloads: list[Payload] = []
    sales: set[str] = set()
    for event in generate(recipe):
        sales.update(_sale_names(event.envelope))
        path = folder / f"event-{len(payloads)}.json"
        path.write_bytes(orjson.dumps(event.envelope))
        payloads.append(Payload(path, 1, is_direct=True))
        on_event(1)
    return Prepared(payloads, frozenset(sales))


def delivered_again(payload: Payload, given_back: Collection[str] | None) -> tuple[Payload, int]:
    """Write the given-back messages as a new batch. Returns it with the seconds until the queue delivers it.

    None stands for all messages: the invocation failed as a whole. A single event is invoked again as it is.
    """
    if payload.is_direct:
        return replace(payload, deliveries=payload.deliveries + 1), DIRECT_RETRY_SECONDS * payload.deliveries
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
