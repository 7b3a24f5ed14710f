"""Batched requests to DynamoDB, each of which reports the result of every item separately.

The guard and the projection share them. The client retries nothing (:mod:`lambda_fn.aws.clients`); reads and puts that
failed or were throttled are retried here, within the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnectedError
from more_itertools import chunked

from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.settings import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
"""An item in DynamoDB's notation: ``{"name": {"S": "text"}}``."""

# Amazon DynamoDB API Reference: BatchGetItem, BatchWriteItem, BatchExecuteStatement.
GET_LIMIT: Final = 100
WRITE_LIMIT: Final = 25
STATEMENT_LIMIT: Final = 25
_GET_LIMIT_BYTES: Final = 16 * 1024 * 1024
_LARGEST_ITEM_BYTES: Final = 400 * 1024
"""Amazon DynamoDB Developer Guide, "Quotas"."""

REQUEST_SECONDS: Final = CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
"""The longest time that one request can take."""

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
"""Error codes of whole requests, and of single statements in a batch (BatchStatementErrorCodeEnum)."""
_SERVER_ERROR: Final = 500
LOST_THE_CONDITION: Final = frozenset({"DuplicateItem", "ConditionalCheckFailed"})
"""Codes of a conditional statement that found another item than it expected (BatchStatementErrorCodeEnum)."""


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
    """The result of one statement in a batch: ``error`` is None on success, and "NoAnswer" if the request failed."""

    error: str | None
    message: str = ""


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Return whether the same request may succeed a little later."""
    if isinstance(error, ClientError):
        answer: Any = error.response
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= _SERVER_ERROR or answer.get("Error", {}).get("Code") in _TRANSIENT_CODES
    # botocore has two families of errors: no connection, and a connection that failed before the answer was complete.
    return isinstance(error, NotConnectedError | HTTPClientError)


class Batches:
    """Reads, puts and conditional statements over many items of one table.

    A large batch takes more requests than run in parallel. Each one starts only if it can end before the deadline:
    if every request ran into its time-out, the last would otherwise be minutes late. ``throttled`` is called, from any
    thread, with the number of requests or items that DynamoDB throttled.

    An answer that lacks the member that DynamoDB always sends is one that the SDK could not parse: for a proxy's page
    with status 200, it returns an empty answer and raises nothing. Such a request counts as unanswered.
    """

    def __init__(
        self,
        client: DynamoDBClient,
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
        """The longest time that one request can take."""
        return self._request_seconds

    @property
    def table(self) -> KeyedTable:
        """The table that these requests read and write."""
        return self._table

    def get(self, keys: Collection[ItemKey], deadline: Deadline) -> dict[ItemKey, Item]:
        """Read items with strong consistency. The result omits items that do not exist.

        Raises StoreUnavailable if not all items could be read before the deadline.
        """
        found: dict[ItemKey, Item] = {}
        pending = list(keys)
        if not pending:
            return found
        for _ in self._retry.tries(deadline, self._request_seconds):
            answers = self._parallel.map(lambda chunk: self._get_once(chunk, deadline), chunked(pending, GET_LIMIT))
            pending = []
            for items, unprocessed in answers:
                found.update({self._table.key_of(item): item for item in items})
                pending.extend(unprocessed)
            if not pending:
                return found
        raise OutOfTime(
            f"DynamoDB table {self._table.name}: {len(pending)} of {len(keys)} items could not be read in time. "
            "The affected sales stay in the queue."
        )

    def put(self, items: Sequence[Item], deadline: Deadline) -> set[ItemKey]:
        """Put items unconditionally, and return the keys of those that are known to be stored.

        Raises StoreUnavailable if DynamoDB refuses for a reason that a retry cannot fix. Some items may be stored then.
        """
        return self._write({self._table.key_of(item): {"PutRequest": {"Item": item}} for item in items}, deadline)

    def delete(self, keys: Collection[ItemKey], deadline: Deadline) -> set[ItemKey]:
        """Delete items, and return the keys of those that certainly do not exist any more.

        Raises StoreUnavailable if DynamoDB refuses for a reason that a retry cannot fix. Some may be deleted then.
        """
        requests = {key: {"DeleteRequest": {"Key": self._table.key_attributes(key)}} for key in keys}
        return self._write(requests, deadline)

    def query(self, partition: str, sort_prefix: str, deadline: Deadline) -> list[Item]:
        """Read the items of a partition with strong consistency, in one request: as many as fit into its answer.

        Raises StoreUnavailable if they could not be read before the deadline.
        """
        for _ in self._retry.tries(deadline, self._request_seconds):
            try:
                answer: Any = self._client.query(
                    TableName=self._table.name,
                    ConsistentRead=True,
                    KeyConditionExpression=(
                        f"{self._table.partition_key} = :partition AND begins_with({self._table.sort_key}, :prefix)"
                    ),
                    ExpressionAttributeValues={":partition": {"S": partition}, ":prefix": {"S": sort_prefix}},
                )
            except (BotoCoreError, ClientError) as error:
                self._raise_unless_transient(error, "Query")
                continue
            if "Items" in answer:
                return list(answer["Items"])
        raise OutOfTime(
            f"DynamoDB table {self._table.name}: partition {partition} could not be read in time. "
            "The affected sales stay in the queue."
        )

    def execute(self, statements: Sequence[tuple[str, list[Item]]], deadline: Deadline) -> list[StatementAnswer]:
        """Run each PartiQL write statement once, and return their results in order.

        Statements for which no time was left get "NoAnswer". Raises StoreUnavailable if DynamoDB refuses for a reason
        that a retry cannot fix. Some statements may have taken effect then.
        """
        answers = self._parallel.map(
            lambda chunk: self._execute_once(chunk, deadline), chunked(statements, STATEMENT_LIMIT)
        )
        return [answer for batch in answers for answer in batch]

    def _get_once(self, keys: Sequence[ItemKey], deadline: Deadline) -> tuple[list[Item], list[ItemKey]]:
        if not deadline.allows(self._request_seconds):
            return [], list(keys)
        name = self._table.name
        request: Any = {name: {"Keys": [self._table.key_attributes(key) for key in keys], "ConsistentRead": True}}
        try:
            answer: Any = self._client.batch_get_item(RequestItems=request)
        except (BotoCoreError, ClientError) as error:
            self._raise_unless_transient(error, "BatchGetItem")
            return [], list(keys)
        if "Responses" not in answer:
            return [], list(keys)
        unprocessed = answer.get("UnprocessedKeys", {}).get(name, {}).get("Keys", [])
        items: list[Item] = list(answer["Responses"].get(name, []))
        # If one more item might not have fitted, the answer's size is why DynamoDB left items out.
        if unprocessed and sum(map(_approximate_bytes, items)) <= _GET_LIMIT_BYTES - _LARGEST_ITEM_BYTES:
            self._note_throttled(len(unprocessed))
        return items, [self._table.key_of(key) for key in unprocessed]

    def _write(self, requests: Mapping[ItemKey, Any], deadline: Deadline) -> set[ItemKey]:
        """Send write requests, and return the keys of those that certainly took effect."""
        pending = dict(requests)
        if not pending:
            return set()
        for _ in self._retry.tries(deadline, self._request_seconds):
            answers = self._parallel.map(
                lambda chunk: self._write_once(dict(chunk), deadline), chunked(pending.items(), WRITE_LIMIT)
            )
            unprocessed = {key for answer in answers for key in answer}
            pending = {key: request for key, request in pending.items() if key in unprocessed}
            if not pending:
                break
        return requests.keys() - pending.keys()

    def _write_once(self, requests: Mapping[ItemKey, Any], deadline: Deadline) -> Collection[ItemKey]:
        """Send one request, and return the keys of what may not have taken effect."""
        if not deadline.allows(self._request_seconds):
            return requests.keys()
        name = self._table.name
        try:
            answer: Any = self._client.batch_write_item(RequestItems={name: list(requests.values())})
        except (BotoCoreError, ClientError) as error:
            self._raise_unless_transient(error, "BatchWriteItem")
            return requests.keys()
        if "UnprocessedItems" not in answer:
            return requests.keys()
        unprocessed: list[Any] = list(answer["UnprocessedItems"].get(name, []))
        self._note_throttled(len(unprocessed))
        return [self._written_key(request) for request in unprocessed]

    def _written_key(self, request: Any) -> ItemKey:
        is_put = "PutRequest" in request
        return self._table.key_of(request["PutRequest"]["Item"] if is_put else request["DeleteRequest"]["Key"])

    def _execute_once(self, statements: Sequence[tuple[str, list[Item]]], deadline: Deadline) -> list[StatementAnswer]:
        if not deadline.allows(self._request_seconds):
            return [StatementAnswer("NoAnswer", "no time was left")] * len(statements)
        request: list[Any] = [{"Statement": text, "Parameters": parameters} for text, parameters in statements]
        try:
            answer: Any = self._client.batch_execute_statement(Statements=request)
        except (BotoCoreError, ClientError) as error:
            self._raise_unless_transient(error, "BatchExecuteStatement")
            return [StatementAnswer("NoAnswer", str(error))] * len(statements)
        if "Responses" not in answer:
            return [StatementAnswer("NoAnswer", "the answer could not be parsed")] * len(statements)
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
        """Count what DynamoDB did not process. It gives no reason for single items; throttling is the usual one."""
        if requests:
            self._throttled(requests)


def unreadable(table: KeyedTable, item: Item) -> str:
    """Return the cause for a sale whose item can't be parsed."""
    return (
        f"DynamoDB table {table.name}: the item with key {table.key_of(item)} can't be read; something other than the "
        "function has changed it. The affected sale stays in the queue. See: carousel-sync verify --repair"
    )


def _approximate_bytes(value: Any) -> int:
    """Return the size of an item or of a part of it. Type names and digits are counted like text."""
    if isinstance(value, dict):
        return sum(len(name.encode()) + _approximate_bytes(part) for name, part in value.items())
    if isinstance(value, list):
        return sum(map(_approximate_bytes, value))
    return len(str(value).encode())


def refused(table: str, action: str, error: object) -> StoreUnavailable:
    """Return the error for a refusal that a retry cannot fix."""
    return StoreUnavailable(
        f"DynamoDB refused {action} on table {table}: {error}. The affected sales stay in the queue; check that the "
        "table exists and that the function's role may use it."
    )
