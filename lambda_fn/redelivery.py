"""When a given-back message comes back: soon at first, later and later after that.

By itself SQS waits for the queue's whole visibility time-out, which has to be six times the function's own and the
batch window besides, whatever the reason was. Most reasons (another attempt holds the sale, a commit lost too many
races) are over in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import chunked

from catalog_config.signed_requests import Service
from lambda_fn.json_requests import SQSRequests
from lambda_fn.runtime.retry import Deadline

FIRST_SECONDS: Final = 10
LONGEST_SECONDS: Final = 360
# Amazon SQS API Reference, ChangeMessageVisibilityBatch.
BATCH_LIMIT: Final = 10
_DOUBLINGS_LIMIT: Final = 10


class SQSRedelivery:
    """Sets the time at which messages come back. Only a help: where it fails, the queue's own time-out holds."""

    def __init__(self, client: SQSRequests, region: str, endpoint_url: str | None, request_seconds: float) -> None:
        self._client = client
        self._base_url = Service("sqs", region, endpoint_url).url()
        self._request_seconds = request_seconds

    def schedule(
        self, records: Sequence[Mapping[str, Any]], given_back: Collection[str], deadline: Deadline
    ) -> Collection[str]:
        """Have the given-back messages come back sooner; return the ids of those for which the queue agreed."""
        returning = [
            record
            for record in records
            if record["messageId"] in given_back and {"receiptHandle", "eventSourceARN"} <= record.keys()
        ]
        agreed: set[str] = set()
        for batch in chunked(returning, BATCH_LIMIT):
            if deadline.allows(self._request_seconds):
                agreed.update(self._schedule_batch(batch))
        return agreed

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
        return f"{self._base_url}/{account}/{name}"


def wait_seconds(record: Mapping[str, Any]) -> int:
    """Return how long a message is to wait: twice as long at each delivery, up to the longest."""
    received = record.get("attributes", {}).get("ApproximateReceiveCount", "1")
    deliveries = int(received) if str(received).isdecimal() else 1
    return int(min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(max(deliveries - 1, 0), _DOUBLINGS_LIMIT)))
