"""Schedules the redelivery of messages that were not processed: soon at first, then with exponential back-off.

By default, SQS redelivers a message after the queue's visibility time-out, which has to be six times the function's
time-out plus the batch window. Most failures (another attempt holds the sale, a commit lost too many races) are over
within seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import chunked

from lambda_fn.runtime.retry import Deadline

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FIRST_SECONDS: Final = 10
LONGEST_SECONDS: Final = 360
# Amazon SQS API Reference, ChangeMessageVisibilityBatch.
BATCH_LIMIT: Final = 10
_DOUBLINGS_LIMIT: Final = 10


class SQSRedelivery:
    """Shortens the visibility time-out of messages. An optimization: if it fails, the queue's own time-out applies."""

    def __init__(self, client: SQSClient, request_seconds: float) -> None:
        self._client = client
        self._request_seconds = request_seconds

    def schedule(
        self, records: Sequence[Mapping[str, Any]], given_back: Collection[str], deadline: Deadline
    ) -> Collection[str]:
        """Shorten the time-outs of messages that were given back, and return the ids of those that SQS confirmed."""
        returning = [
            record
            for record in records
            if record["messageId"] in given_back and {"receiptHandle", "eventSourceARN"} <= record.keys()
        ]
        confirmed: set[str] = set()
        for batch in chunked(returning, BATCH_LIMIT):
            if deadline.allows(self._request_seconds):
                confirmed.update(self._schedule_batch(batch))
        return confirmed

    def _schedule_batch(self, batch: Sequence[Mapping[str, Any]]) -> set[str]:
        entries: list[Any] = [
            {"Id": str(number), "ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": wait_seconds(record)}
            for number, record in enumerate(batch)
        ]
        try:
            answer = self._client.change_message_visibility_batch(QueueUrl=self._queue_url(batch[0]), Entries=entries)
        except (BotoCoreError, ClientError):
            return set()
        return {batch[int(entry["Id"])]["messageId"] for entry in answer.get("Successful", [])}

    def _queue_url(self, record: Mapping[str, Any]) -> str:
        account, name = record["eventSourceARN"].split(":")[-2:]
        return f"{self._client.meta.endpoint_url.rstrip('/')}/{account}/{name}"


def wait_seconds(record: Mapping[str, Any]) -> int:
    """Return a message's time-out in seconds, which doubles with each delivery up to ``LONGEST_SECONDS``."""
    return int(min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(max(deliveries(record) - 1, 0), _DOUBLINGS_LIMIT)))


def deliveries(record: Mapping[str, Any]) -> int:
    """Return how often SQS has delivered a message, this time included."""
    received = (record.get("attributes") or {}).get("ApproximateReceiveCount", "1")
    return int(received) if str(received).isdecimal() else 1
