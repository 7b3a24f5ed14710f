"""Rejected events in an SQS queue: the original body, with the reason in message attributes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from more_itertools import constrained_batches

from lambda_fn.aws.batch_requests import REQUEST_SECONDS
from lambda_fn.ports import FIRST_SEEN, DeadLetter
from lambda_fn.runtime.retry import Deadline, Retry

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Amazon SQS API Reference, SendMessageBatch: at most 10 messages and 1 MiB in total, attributes included.
BATCH_LIMIT: Final = 10
BYTES_LIMIT: Final = 1_048_576

_TRIES: Final = 3


class SQSDeadLetters:
    """The dead-letter queue."""

    def __init__(
        self, client: SQSClient, queue_url: str, retry: Retry, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        self._client = client
        self._queue_url = queue_url
        self._retry = retry
        self._request_seconds = request_seconds

    def keep(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> Collection[str]:
        """Send the letters, and return the delivery ids of those that the queue accepted.

        A letter whose answer was lost is sent again: a letter that is in the queue twice is better than a lost one.
        """
        pending = [(letter.delivery.delivery_id, _message(letter, request_id)) for letter in letters]
        kept: set[str] = set()
        for number in self._retry.tries(deadline, self._request_seconds):
            for batch in constrained_batches(pending, BYTES_LIMIT, BATCH_LIMIT, _entry_bytes, strict=False):
                if deadline.allows(self._request_seconds):
                    kept.update(self._send(batch))
            pending = [entry for entry in pending if entry[0] not in kept]
            if not pending or number + 1 == _TRIES:
                break
        return kept

    def _send(self, batch: Sequence[tuple[str, dict[str, Any]]]) -> set[str]:
        entries: list[Any] = [{"Id": str(number), **message} for number, (_, message) in enumerate(batch)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
        except (BotoCoreError, ClientError):
            return set()
        return {batch[int(entry["Id"])][0] for entry in answer.get("Successful", [])}


def _message(letter: DeadLetter, request_id: str) -> dict[str, Any]:
    texts = {
        "reason": letter.rejection.reason.value,
        "detail": letter.rejection.detail,
        FIRST_SEEN: letter.delivery.first_seen,
        "requestId": request_id,
    }
    message: dict[str, Any] = {
        "MessageBody": letter.delivery.body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": text} for name, text in texts.items() if text
        },
    }
    if _size_bytes(message) > BYTES_LIMIT:
        # An event may fill a message to the last byte. The body must not be lost; the log has the reason, too.
        del message["MessageAttributes"]
    return message


def _size_bytes(message: dict[str, Any]) -> int:
    attributes: dict[str, Any] = message.get("MessageAttributes", {})
    texts = [part for name, value in attributes.items() for part in (name, value["DataType"], value["StringValue"])]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in [message["MessageBody"], *texts])


def _entry_bytes(entry: tuple[str, dict[str, Any]]) -> int:
    return _size_bytes(entry[1])
