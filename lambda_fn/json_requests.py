"""The requests that are sent to DynamoDB and to SQS, as an SDK client sends and answers them, at half of its CPU time.

Both speak AWS JSON 1.0 (Amazon DynamoDB Developer Guide, "DynamoDB low-level API"; Amazon SQS Developer Guide, "AWS
JSON protocol"): the operation in a header, and in the body what a client takes and gives already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from zlib import crc32

import orjson
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, HTTPClientError

from catalog_config.signed_requests import OK, Service, SignedRequests

_CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_CHECKSUM: Final = "x-amz-crc32"


class UnreadableAnswer(HTTPClientError):
    """There is an answer, but it does not tell what became of the request: it may have taken effect or not."""

    fmt = "The answer to {operation} can't be read: {error}"


class _JSONRequests:
    """Sends each request once. May be used by many threads; opens no connection before the first request.

    Raises ClientError for what the service refuses, HTTPClientError and botocore's other errors for what did not get an
    answer that can be read.
    """

    _version: str
    _name: str

    def __init__(
        self,
        region: str,
        endpoint_url: str | None,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        connections: int,
    ) -> None:
        service = Service(self._name, region, endpoint_url)
        self._url = f"{service.url()}/"
        self._requests = SignedRequests(service, connect_timeout_seconds, read_timeout_seconds, connections)

    def _send(self, operation: str, request: bytes) -> dict[str, Any]:
        headers = {"Content-Type": _CONTENT_TYPE, "X-Amz-Target": f"{self._version}.{operation}"}
        answer = self._requests.send("POST", self._url, request, headers)
        if answer.status_code != OK:
            raise _refusal(operation, answer)
        if answer.headers.get(_CHECKSUM) not in (None, str(crc32(answer.content))):
            raise UnreadableAnswer(operation=operation, error="its checksum is not that of its content")
        try:
            read = orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            raise UnreadableAnswer(operation=operation, error=error) from error
        if not isinstance(read, dict):
            raise UnreadableAnswer(operation=operation, error="it is no object")
        return {name: value for name, value in read.items() if value is not None}


class DynamoDBRequests(_JSONRequests):
    """What is asked of DynamoDB (Amazon DynamoDB API Reference). Parameters have the protocol's names."""

    _version = "DynamoDB_20120810"
    _name = "dynamodb"

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        """Read items of one or more tables."""
        return self._send("BatchGetItem", orjson.dumps({"RequestItems": RequestItems}))

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        """Put items into one or more tables."""
        return self._send("BatchWriteItem", orjson.dumps({"RequestItems": RequestItems}))

    def batch_execute_statement(self, *, Statements: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """Run PartiQL statements, each of which succeeds or fails by itself."""
        return self._send("BatchExecuteStatement", orjson.dumps({"Statements": Statements}))


class SQSRequests(_JSONRequests):
    """What is asked of SQS (Amazon SQS API Reference). Parameters have the protocol's names."""

    _version = "AmazonSQS"
    _name = "sqs"

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """Put messages into a queue, each of which succeeds or fails by itself."""
        return self._send("SendMessageBatch", _escaped({"QueueUrl": QueueUrl, "Entries": Entries}))

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """Say when messages are to be delivered again, each of which succeeds or fails by itself."""
        return self._send("ChangeMessageVisibilityBatch", _escaped({"QueueUrl": QueueUrl, "Entries": Entries}))


def _escaped(request: Mapping[str, Any]) -> bytes:
    """Encode text of any kind: an event that is no sale may hold half a surrogate pair, which only JSON can carry."""
    return json.dumps(request).encode()


def _refusal(operation: str, answer: AWSResponse) -> ClientError:
    """Read a refusal; one that something else on the way made has no code but its status."""
    try:
        read = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        read = {}
    told = read if isinstance(read, dict) else {}
    # As "com.amazonaws.dynamodb.v20120810#ThrottlingException", or with the address of its description after a colon.
    code = str(told.get("__type") or answer.status_code).partition(":")[0].rpartition("#")[2]
    message = str(told.get("message") or told.get("Message") or "")
    metadata: Any = {"HTTPStatusCode": answer.status_code}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation)
