"""SQS queues in memory: the operations that the dead-letter commands use, answered as by a boto3 client."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from botocore.exceptions import ClientError

BATCH_LIMIT = 10
BATCH_LIMIT_BYTES = 1_048_576


def client_error(code: str) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
    return ClientError(answer, "Any")


@dataclass
class Message:
    message_id: str
    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    visible_at: float = 0.0
    receipt_handle: str = ""


class FakeSQS:
    """Queues by their URL. ``now`` is the service's clock; ``before`` is called with the name of each request."""

    def __init__(self, *urls: str, now: float = 1_800_000_000.0) -> None:
        self.queues: dict[str, list[Message]] = {url: [] for url in urls}
        self.now = now
        self.before: Callable[[str], None] = lambda _: None
        self._numbers = itertools.count(1)

    def add(self, url: str, body: str, sent_at: float | None = None, **attributes: str) -> str:
        """Put a message into a queue, and return its id."""
        message_id = f"message-{next(self._numbers)}"
        system = {"SentTimestamp": str(int((self.now if sent_at is None else sent_at) * 1000))}
        system |= {name: attributes.pop(name) for name in ("DeadLetterQueueSourceArn",) if name in attributes}
        self.queues[url].append(Message(message_id, body, attributes, system))
        return message_id

    def bodies(self, url: str) -> list[str]:
        return [message.body for message in self.queues[url]]

    def visible(self, url: str) -> list[str]:
        return [message.message_id for message in self.queues[url] if message.visible_at <= self.now]

    def move(self, source: str, target: str) -> None:
        """Move all messages as a redrive policy does: attributes and the time when they were sent stay."""
        for message in self.queues[source]:
            message.system = {**message.system, "DeadLetterQueueSourceArn": "arn"}
        self.queues[target] += self.queues[source]
        self.queues[source] = []

    # --- the client ---

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        self.before("get")
        visible = len(self.visible(QueueUrl))
        numbers = {
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(len(self.queues[QueueUrl]) - visible),
        }
        headers = {"date": formatdate(self.now, usegmt=True)}
        attributes = {name: numbers[name] for name in AttributeNames}
        return {"Attributes": attributes, "ResponseMetadata": {"HTTPHeaders": headers}}

    def receive_message(self, **request: Any) -> dict[str, Any]:
        self.before("receive")
        assert 1 <= request["MaxNumberOfMessages"] <= BATCH_LIMIT
        url = request["QueueUrl"]
        found = [message for message in self.queues[url] if message.visible_at <= self.now]
        found = found[: request["MaxNumberOfMessages"]]
        for message in found:
            message.visible_at = self.now + request["VisibilityTimeout"]
            message.receipt_handle = f"handle-{next(self._numbers)}"
        return {"Messages": [_as_received(message) for message in found]} if found else {}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.before("send")
        assert 1 <= len(Entries) <= BATCH_LIMIT
        assert sum(map(_size_bytes, Entries)) <= BATCH_LIMIT_BYTES
        answer: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in Entries:
            if "REFUSE" in entry["MessageBody"]:
                answer["Failed"].append({"Id": entry["Id"], "Code": "InvalidMessageContents", "SenderFault": True})
                continue
            given = entry.get("MessageAttributes", {})
            self.add(QueueUrl, entry["MessageBody"], **{name: each["StringValue"] for name, each in given.items()})
            answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.before("delete")
        handles = {entry["ReceiptHandle"]: entry["Id"] for entry in Entries}
        present = {message.receipt_handle for message in self.queues[QueueUrl]}
        self.queues[QueueUrl] = [one for one in self.queues[QueueUrl] if one.receipt_handle not in handles]
        return {"Successful": [{"Id": number} for handle, number in handles.items() if handle in present]}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.before("change")
        assert 1 <= len(Entries) <= BATCH_LIMIT
        seconds = {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in Entries}
        for message in self.queues[QueueUrl]:
            if message.receipt_handle in seconds:
                message.visible_at = self.now + seconds[message.receipt_handle]
        return {"Successful": []}


def _size_bytes(entry: dict[str, Any]) -> int:
    given = entry.get("MessageAttributes", {})
    texts = [part for name, each in given.items() for part in (name, each["DataType"], each["StringValue"])]
    return sum(len(text.encode()) for text in [entry["MessageBody"], *texts])


def _as_received(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt_handle,
        "Body": message.body,
        "Attributes": dict(message.system),
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": text} for name, text in message.attributes.items()
        },
    }
