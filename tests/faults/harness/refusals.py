"""Refusals in the format of each AWS service, so that clients recognise them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

_THROTTLED: Final = 0

_CODES: Final = {
    409: "ConflictException",
    429: "TooManyRequestsException",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class Refusal(NamedTuple):
    """Status, headers and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def refusal(service: str, action: str, status: int) -> Refusal:
    """Return a service's refusal with this status. Status 0 means the service's throttling error."""
    if service == "dynamodb":
        # Amazon DynamoDB Developer Guide, "Error handling": throttling is a 400.
        code = "ProvisionedThroughputExceededException" if status == _THROTTLED else _CODES[status]
        return _json(status or 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": _message(action)})
    if service == "sqs":
        # Amazon SQS API Reference, "Common Error Types": RequestThrottled is a 403.
        code = "RequestThrottled" if status == _THROTTLED else _CODES[status]
        return _json(status or 403, {"__type": f"com.amazonaws.sqs#{code}", "message": _message(action)})
    if service == "catalog":
        # Apache Iceberg REST catalog specification, ErrorModel.
        status = status or 429
        error = {"message": _message(action), "type": _CODES[status], "code": status}
        return _json(status, {"error": error})
    # Amazon S3 API Reference, "Error responses": SlowDown is a 503.
    code, status = ("SlowDown", 503) if status == _THROTTLED else (_CODES[status], status)
    text = f"<Error><Code>{code}</Code><Message>{_message(action)}</Message></Error>"
    return Refusal(status, {"Content-Type": "application/xml"}, text.encode())


def _json(status: int, document: object) -> Refusal:
    return Refusal(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


def _message(action: str) -> str:
    return f"{action} was refused by the test"
