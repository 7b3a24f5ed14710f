"""A DynamoDB client that wraps another one, records the requests, and injects faults."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple, Protocol

from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from testbed.dynamodb.memory import client_error

GET: Final = "batch_get_item"
WRITE: Final = "batch_write_item"
EXECUTE: Final = "batch_execute_statement"
QUERY: Final = "query"

_ENDPOINT: Final = "https://dynamodb.test"


class Request(NamedTuple):
    """A request as lambda_fn made it."""

    action: str
    arguments: dict[str, Any]


class Send(Protocol):
    """Forwards a request, possibly modified, and returns the answer."""

    def __call__(self, **arguments: Any) -> dict[str, Any]: ...


Fault = Callable[[Request, Send], dict[str, Any]]
"""What happens to a request: it may be sent or not, and be answered or not."""


class FaultyDynamoDB:
    """A client that forwards every request for which no fault is planned.

    ``requests`` contains all requests in order. Any number of threads may use a client.
    """

    def __init__(self, client: Any) -> None:
        self.requests: list[Request] = []
        self._client = client
        self._next: dict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._lock = threading.Lock()

    def plan(self, action: str, *faults: Fault) -> None:
        """Inject these faults into the next requests of this action, one each."""
        self._next[action].extend(faults)

    def always(self, action: str, fault: Fault) -> None:
        """Inject this fault into every request of this action for which no other is planned."""
        self._always[action] = fault

    def count(self, action: str) -> int:
        """Return the number of requests of this action."""
        return sum(1 for request in self.requests if request.action == action)

    def batch_get_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call(GET, arguments)

    def batch_write_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call(WRITE, arguments)

    def batch_execute_statement(self, **arguments: Any) -> dict[str, Any]:
        return self._call(EXECUTE, arguments)

    def query(self, **arguments: Any) -> dict[str, Any]:
        return self._call(QUERY, arguments)

    def _call(self, action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        request = Request(action, arguments)
        with self._lock:
            self.requests.append(request)
            planned = self._next[action]
            fault = planned.popleft() if planned else self._always.get(action, passed)
        send: Send = getattr(self._client, action)
        return fault(request, send)


def passed(request: Request, send: Send) -> dict[str, Any]:
    """No fault."""
    return send(**request.arguments)


def answer_lost(request: Request, send: Send) -> dict[str, Any]:
    """The request takes effect, and its answer does not arrive."""
    send(**request.arguments)
    raise ReadTimeoutError(endpoint_url=_ENDPOINT)


def unparsable(request: Request, send: Send) -> dict[str, Any]:
    """The request takes effect, and the SDK cannot parse the answer: it returns one without content."""
    send(**request.arguments)
    return {"ResponseMetadata": {"HTTPStatusCode": 200}}


def request_lost(request: Request, send: Send) -> dict[str, Any]:
    """The request does not arrive."""
    raise ConnectTimeoutError(endpoint_url=_ENDPOINT)


def refused(code: str, status: int = 400) -> Fault:
    """Return a fault that refuses the whole request."""

    def fault(request: Request, send: Send) -> dict[str, Any]:
        raise client_error(code, request.action, "refused by the test", status)

    return fault


def statements_refused(code: str, indexes: Collection[int] | None = None) -> Fault:
    """Return a fault that refuses some or all statements of a batch, and runs the others."""

    def fault(request: Request, send: Send) -> dict[str, Any]:
        statements = request.arguments["Statements"]
        kept = [index for index in range(len(statements)) if indexes is not None and index not in indexes]
        answers = send(Statements=[statements[index] for index in kept])["Responses"] if kept else []
        responses: list[Any] = [{"Error": {"Code": code, "Message": "refused by the test"}} for _ in statements]
        for index, answer in zip(kept, answers, strict=True):
            responses[index] = answer
        return {"Responses": responses}

    return fault


def unprocessed(share_done: float) -> Fault:
    """Return a fault that processes only the first part of a read or write, rounded down."""

    def fault(request: Request, send: Send) -> dict[str, Any]:
        ((table, content),) = request.arguments["RequestItems"].items()
        elements = content["Keys"] if request.action == GET else content
        cut = int(len(elements) * share_done)
        answer: dict[str, Any] = {"Responses": {table: []}}
        if cut:
            done = {**content, "Keys": elements[:cut]} if request.action == GET else elements[:cut]
            answer = send(RequestItems={table: done})
        if request.action == GET:
            return {**answer, "UnprocessedKeys": {table: {**content, "Keys": elements[cut:]}}}
        return {**answer, "UnprocessedItems": {table: elements[cut:]}}

    return fault
