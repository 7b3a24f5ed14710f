"""Batched requests to DynamoDB, each of which answers for its items one by one.

Shared by the guard and the projection. The client retries nothing by itself (see wiring): what could not be done is
tried again here, within the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnectedError
from more_itertools import chunked

from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.json_requests import DynamoDBRequests
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.settings import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS

Item = dict[str, Any]
"""An item in DynamoDB's own notation: ``{"name": {"S": "text"}}``."""

# Amazon DynamoDB API Reference: BatchGetItem, BatchWriteItem, BatchExecuteStatement.
GET_LIMIT: Final = 100
WRITE_LIMIT: Final = 25
STATEMENT_LIMIT: Final = 25

REQUEST_SECONDS: Final = CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
"""The longest that one request can take."""

_TRANSIENT_CODES: Final = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_THROTTLING_CODES: Final = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Of a refused request, and of one statement of a batch (BatchStatementErrorCodeEnum)."""
_SERVER_ERROR: Final = 500


class ItemKey(NamedTuple):
    """Partition key and sort key, as text."""

    partition: str
    sort: str


@dataclass(frozen=True)
class KeyedTable:
    """A DynamoDB table with a partition key and a sort key, both text."""

    name: str
    partition_key: str
    sort_key: str

    def key_of(self, item: Item) -> ItemKey:
        """Return an item's key."""
        return ItemKey(item[self.partition_key]["S"], item[self.sort_key]["S"])

    def key_attributes(self, key: ItemKey) -> Item:
        """Return a key in DynamoDB's notation."""
        return {self.partition_key: {"S": key.partition}, self.sort_key: {"S": key.sort}}


class StatementAnswer(NamedTuple):
    """How one statement of a batch ended: ``error`` is None for success, "NoAnswer" when the request failed."""

    error: str | None
    message: str = ""


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, ClientError):
        answer: Any = error.response
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= _SERVER_ERROR or answer.get("Error", {}).get("Code") in _TRANSIENT_CODES
    # botocore has two families here: no connection, and a connection that failed before the whole answer was there.
    return isinstance(error, NotConnectedError | HTTPClientError)


class Batches:
    """Reads, puts and conditional statements over many items of one table at a time.

    A large batch is more requests than run side by side. Each begins only if it can end before the deadline: where
    every request waits for its time-out, the last of them would be minutes late. ``throttled`` is told, from any
    thread, how many requests or items were throttled.
    """

    def __init__(
        self,
        client: DynamoDBRequests,
        table: KeyedTable,
        retry: Retry,
        parallel: Parallel,
        request_seconds: float = REQUEST_SECONDS,
        throttled: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._table = table
        self._retry = retry
        self._parallel = parallel
        self._request_seconds = request_seconds
        self._throttled = throttled

    @property
    def request_seconds(self) -> float:
        """The longest that one request can take."""
        return self._request_seconds

    @property
    def table(self) -> KeyedTable:
        """The table that is read and written."""
        return self._table

    def get(self, keys: Collection[ItemKey], deadline: Deadline) -> dict[ItemKey, Item]:
        """Read items with strong consistency; an item that does not exist is left out.

        Raises StoreUnavailable when any of them could not be read before the deadline.
        """
        found: dict[ItemKey, Item] = {}
        pending = list(keys)
        if not pending:
            return found
        for _ in self._retry.tries(deadline, self._request_seconds):
            answers = self._parallel.map(lambda some: self._get_once(some, deadline), chunked(pending, GET_LIMIT))
            pending = []
            for items, unprocessed in answers:
                found.update({self._table.key_of(item): item for item in items})
                pending.extend(unprocessed)
            if not pending:
                return found
        raise OutOfTime(
            f"DynamoDB table {self._table.name}: {len(pending)} of {len(keys)} items could not be read in time. "
            "The sales concerned stay in the queue."
        )

    def put(self, items: Sequence[Item], deadline: Deadline) -> set[ItemKey]:
        """Put items without a condition, and return the keys of those that are stored for certain.

        Raises StoreUnavailable when DynamoDB refuses for a reason that waiting will not mend.
        """
        pending = {self._table.key_of(item): item for item in items}
        wanted = set(pending)
        if not pending:
            return wanted
        for _ in self._retry.tries(deadline, self._request_seconds):
            answers = self._parallel.map(
                lambda some: self._put_once(some, deadline), chunked(pending.values(), WRITE_LIMIT)
            )
            unprocessed = {key for answer in answers for key in answer}
            pending = {key: item for key, item in pending.items() if key in unprocessed}
            if not pending:
                break
        return wanted - pending.keys()

    def execute(self, statements: Sequence[tuple[str, list[Item]]], deadline: Deadline) -> list[StatementAnswer]:
        """Run PartiQL write statements once, and tell how each ended. Those that came too late have "NoAnswer".

        Raises StoreUnavailable when DynamoDB refuses for a reason that waiting will not mend.
        """
        answers = self._parallel.map(
            lambda some: self._execute_once(some, deadline), chunked(statements, STATEMENT_LIMIT)
        )
        return [answer for batch in answers for answer in batch]

    def _get_once(self, keys: Sequence[ItemKey], deadline: Deadline) -> tuple[list[Item], list[ItemKey]]:
        if not deadline.allows(self._request_seconds):
            return [], list(keys)
        name = self._table.name
        request: Any = {name: {"Keys": [self._table.key_attributes(key) for key in keys], "ConsistentRead": True}}
        try:
            answer = self._client.batch_get_item(RequestItems=request)
        except (BotoCoreError, ClientError) as error:
            self._raise_unless_transient(error, "BatchGetItem")
            return [], list(keys)
        unprocessed_keys: Any = answer.get("UnprocessedKeys", {})
        unprocessed = unprocessed_keys.get(name, {}).get("Keys", [])
        self._note_throttled(len(unprocessed))
        items: list[Item] = list(answer["Responses"].get(name, []))
        return items, [self._table.key_of(key) for key in unprocessed]

    def _put_once(self, items: Sequence[Item], deadline: Deadline) -> list[ItemKey]:
        if not deadline.allows(self._request_seconds):
            return [self._table.key_of(item) for item in items]
        name = self._table.name
        try:
            answer = self._client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": i}} for i in items]})
        except (BotoCoreError, ClientError) as error:
            self._raise_unless_transient(error, "BatchWriteItem")
            return [self._table.key_of(item) for item in items]
        unprocessed: list[Any] = list(answer.get("UnprocessedItems", {}).get(name, []))
        self._note_throttled(len(unprocessed))
        return [self._table.key_of(request["PutRequest"]["Item"]) for request in unprocessed]

    def _execute_once(self, statements: Sequence[tuple[str, list[Item]]], deadline: Deadline) -> list[StatementAnswer]:
        if not deadline.allows(self._request_seconds):
            return [StatementAnswer("NoAnswer", "no time was left")] * len(statements)
        request: list[Any] = [{"Statement": text, "Parameters": parameters} for text, parameters in statements]
        try:
            answer = self._client.batch_execute_statement(Statements=request)
        except (BotoCoreError, ClientError) as error:
            self._raise_unless_transient(error, "BatchExecuteStatement")
            return [StatementAnswer("NoAnswer", str(error))] * len(statements)
        errors = [response.get("Error") for response in answer["Responses"]]
        self._note_throttled(sum(1 for error in errors if error and error.get("Code") in _THROTTLING_CODES))
        return [
            StatementAnswer(error.get("Code", "Unknown"), error.get("Message", "")) if error else StatementAnswer(None)
            for error in errors
        ]

    def _raise_unless_transient(self, error: BotoCoreError | ClientError, action: str) -> None:
        if not is_transient(error):
            raise refused(self._table.name, action, error) from error
        if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _THROTTLING_CODES:
            self._note_throttled(1)

    def _note_throttled(self, requests: int) -> None:
        """Tell what DynamoDB left undone. It says of single items only that, not why; throttling is the usual why."""
        if requests:
            self._throttled(requests)


def refused(table: str, action: str, error: object) -> StoreUnavailable:
    """Return the error for a refusal that waiting will not mend."""
    return StoreUnavailable(
        f"DynamoDB refused {action} on table {table}: {error}. The sales concerned stay in the queue; check that the "
        "table exists and that the function's role may use it."
    )
