"""DynamoDB in memory: the four operations that lambda_fn uses, answered as by a boto3 client.

Where Amazon's DynamoDB Local and the emulator differ, this one follows DynamoDB Local. Everything that lambda_fn does
not use raises an error rather than return a wrong answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from lambda_fn.aws.batch_requests import ItemKey, KeyedTable
from testbed.dynamodb.attribute_values import InvalidValue, Item, Value, copied, item_size_bytes, stored
from testbed.dynamodb.partiql import Insert, Update, parse

# Amazon DynamoDB API Reference: BatchGetItem, BatchWriteItem, BatchExecuteStatement. Developer Guide: "Quotas".
GET_LIMIT: Final = 100
WRITE_LIMIT: Final = 25
STATEMENT_LIMIT: Final = 25
ITEM_LIMIT_BYTES: Final = 400 * 1024
GET_LIMIT_BYTES: Final = 16 * 1024 * 1024
QUERY_LIMIT_BYTES: Final = 1024 * 1024
PARTITION_KEY_LIMIT_BYTES: Final = 2048
SORT_KEY_LIMIT_BYTES: Final = 1024

Items = dict[ItemKey, Item]

_MOST_BYTES_A_CHARACTER: Final = 4  # in UTF-8
_ANSWERED: Final[Mapping[str, Any]] = {"ResponseMetadata": {"HTTPStatusCode": 200}}


def client_error(code: str, action: str, message: str = "", status: int = 400) -> ClientError:
    """Return the error that boto3 raises for a refused request."""
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, action)


class _Refused(Exception):
    """The request, or the statement, is refused with a code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class MemoryDynamoDB:
    """A client of tables that exist from the start, or have been added.

    ``tables`` are plain dictionaries, by table name and then by key, that a test may read and modify. Replace whole
    items and never change one in place.

    Any number of threads may use a client. Each request is atomic.
    """

    def __init__(self, *tables: KeyedTable) -> None:
        self.tables: dict[str, Items] = {}
        self._schemas: dict[str, KeyedTable] = {}
        self.lock = threading.RLock()
        for table in tables:
            self.add_table(table)

    def add_table(self, table: KeyedTable) -> None:
        """Add an empty table."""
        self.tables[table.name] = {}
        self._schemas[table.name] = table

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """Read up to 100 items of one table, up to 16 MB, with strong consistency, in no particular order."""
        action = "BatchGetItem"
        name, wanted = _one_table(action, request)
        if set(wanted) != {"Keys", "ConsistentRead"} or wanted["ConsistentRead"] is not True:
            raise NotImplementedError(f"{action} of {sorted(wanted)}: only strongly consistent reads of whole items.")
        key_items = _some(action, wanted["Keys"], GET_LIMIT)
        with self.lock:
            items, schema = self._table(action, name)
            keys = _distinct(action, [_key_alone(action, schema, key) for key in key_items])
            # Reversed, so that no caller relies on the order.
            found = [(key, items[key]) for key in reversed(keys) if key in items]
        fitting = _how_many_fit([item for _, item in found])
        unprocessed = [schema.key_attributes(key) for key, _ in found[fitting:]]
        return {
            **_ANSWERED,
            "Responses": {name: [copied(item) for _, item in found[:fitting]]},
            "UnprocessedKeys": {name: {"Keys": unprocessed, "ConsistentRead": True}} if unprocessed else {},
        }

    def batch_write_item(self, **request: Any) -> dict[str, Any]:
        """Put items into one table or delete some, up to 25. One that cannot be stored fails the whole request."""
        action = "BatchWriteItem"
        name, writes = _one_table(action, request)
        given = [_write_of(write) for write in _some(action, writes, WRITE_LIMIT)]
        with self.lock:
            items, schema = self._table(action, name)
            try:
                new = [_checked_item(schema, item) for item, key in given if key is None]
            except _Refused as refused:
                raise client_error(refused.code, action, refused.message) from None
            written = [schema.key_of(item) for item in new]
            deleted = [_key_alone(action, schema, key) for _, key in given if key is not None]
            _distinct(action, [*written, *deleted])
            items.update(zip(written, new, strict=True))
            for key in deleted:
                items.pop(key, None)
        return {**_ANSWERED, "UnprocessedItems": {}}

    def query(self, **request: Any) -> dict[str, Any]:
        """Read the items of a partition whose sort key has a prefix, in the order of the sort key, up to 1 MB."""
        action = "Query"
        expected = {"TableName", "ConsistentRead", "KeyConditionExpression", "ExpressionAttributeValues"}
        if set(request) != expected or request["ConsistentRead"] is not True:
            raise NotImplementedError(f"{action} of {sorted(request)}: only strongly consistent reads of whole items.")
        with self.lock:
            items, schema = self._table(action, request["TableName"])
            condition = f"{schema.partition_key} = :partition AND begins_with({schema.sort_key}, :prefix)"
            if request["KeyConditionExpression"] != condition:
                raise NotImplementedError(f"{action} where {request['KeyConditionExpression']}")
            values = request["ExpressionAttributeValues"]
            partition, prefix = values[":partition"]["S"], values[":prefix"]["S"]
            matching = (key for key in items if key.partition == partition and key.sort.startswith(prefix))
            found = [items[key] for key in sorted(matching)]
        fitting = _page_length(found)
        last = {"LastEvaluatedKey": schema.key_attributes(schema.key_of(found[fitting - 1]))} if found[fitting:] else {}
        return {**_ANSWERED, "Items": [copied(item) for item in found[:fitting]], "Count": fitting, **last}

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        """Run up to 25 INSERT and UPDATE statements, each of which succeeds or fails separately."""
        action = "BatchExecuteStatement"
        given_statements = _some(action, _only(request, "Statements"), STATEMENT_LIMIT)
        statements = [_statement_of(action, given) for given in given_statements]
        with self.lock:
            _distinct(action, [key for given in statements if (key := self._target(*given)) is not None])
            return {**_ANSWERED, "Responses": [self._execute(*given) for given in statements]}

    def _table(self, action: str, name: str) -> tuple[Items, KeyedTable]:
        if name not in self.tables:
            raise client_error("ResourceNotFoundException", action, "Cannot do operations on a non-existent table")
        return self.tables[name], self._schemas[name]

    def _target(self, statement: Insert | Update, parameters: Sequence[Value]) -> tuple[str, ...] | None:
        """Return the table and the complete key in a statement, or None if there is none."""
        schema = self._schemas.get(statement.table)
        names = statement.names if isinstance(statement, Insert) else statement.compared_names
        values = dict(zip(names, parameters[-len(names) :], strict=False))
        if schema is None or not {schema.partition_key, schema.sort_key} <= values.keys():
            return None
        partition, sort = (values[name].get("S") for name in (schema.partition_key, schema.sort_key))
        return None if partition is None or sort is None else (statement.table, partition, sort)

    def _execute(self, statement: Insert | Update, parameters: Sequence[Value]) -> dict[str, Any]:
        try:
            if statement.table not in self.tables:
                raise _Refused("ResourceNotFound", "Cannot do operations on a non-existent table")
            if len(parameters) != statement.parameter_count:
                raise _Refused("ValidationError", "Number of parameters in request and statement don't match.")
            if isinstance(statement, Insert):
                self._insert(statement, parameters)
            else:
                self._update(statement, parameters)
        except _Refused as refused:
            code = "ValidationError" if refused.code == "ValidationException" else refused.code
            return {"Error": {"Code": code, "Message": refused.message}, "TableName": statement.table}
        return {"TableName": statement.table}

    def _insert(self, statement: Insert, parameters: Sequence[Value]) -> None:
        items, schema = self.tables[statement.table], self._schemas[statement.table]
        item = dict(zip(statement.names, parameters, strict=True))
        _check_keys(schema, item)
        _check_size(item)
        key = schema.key_of(item)
        if key in items:
            raise _Refused("DuplicateItem", "Duplicate primary key exists in table")
        items[key] = item

    def _update(self, statement: Update, parameters: Sequence[Value]) -> None:
        items, schema = self.tables[statement.table], self._schemas[statement.table]
        set_count = len(statement.set_names)
        condition = dict(zip(statement.compared_names, parameters[set_count:], strict=True))
        key_names = {schema.partition_key, schema.sort_key}
        if not key_names <= condition.keys():
            raise _Refused("ValidationException", "Where clause does not contain an equality on all key attributes")
        if key_names & {*statement.set_names, *statement.removed_names}:
            raise _Refused("ValidationException", "Cannot update an attribute that is part of the key")
        if any("S" not in condition[name] for name in key_names):
            raise _Refused("ValidationException", "Key attribute's data type should match its data type in the schema")
        key = schema.key_of(condition)
        old = items.get(key)
        if old is None or any(old.get(name) != value for name, value in condition.items()):
            raise _Refused("ConditionalCheckFailed", "The conditional request failed")
        new = {**old, **dict(zip(statement.set_names, parameters[:set_count], strict=True))}
        for name in statement.removed_names:
            new.pop(name, None)
        _check_size(new)
        items[key] = new


def _only(request: Mapping[str, Any], name: str) -> Any:
    if set(request) != {name}:
        raise NotImplementedError(f"arguments {sorted(request)}, where only {name} is known")
    return request[name]


def _one_table(action: str, request: Mapping[str, Any]) -> tuple[str, Any]:
    tables = _only(request, "RequestItems")
    if len(tables) != 1:
        raise NotImplementedError(f"{action} over {len(tables)} tables")
    ((name, content),) = tables.items()
    return name, content


def _some(action: str, elements: Sequence[Any], limit: int) -> Sequence[Any]:
    if not elements:
        raise client_error("ValidationException", action, "Nothing is asked for")
    if len(elements) > limit:
        raise client_error("ValidationException", action, f"Too many items requested, {limit} is the limit")
    return elements


def _distinct(action: str, keys: Sequence[Any]) -> Sequence[Any]:
    if len(set(keys)) < len(keys):
        raise client_error("ValidationException", action, "Provided list of item keys contains duplicates")
    return keys


def _write_of(request: Mapping[str, Any]) -> tuple[Item, Item | None]:
    """Return the item to put and None, or an empty item and the key to delete."""
    if set(request) == {"PutRequest"} and set(request["PutRequest"]) == {"Item"}:
        return request["PutRequest"]["Item"], None
    if set(request) == {"DeleteRequest"} and set(request["DeleteRequest"]) == {"Key"}:
        return {}, request["DeleteRequest"]["Key"]
    raise NotImplementedError(f"BatchWriteItem of {sorted(request)}")


def _statement_of(action: str, request: Mapping[str, Any]) -> tuple[Insert | Update, Sequence[Value]]:
    if set(request) != {"Statement", "Parameters"}:
        raise NotImplementedError(f"{action} of {sorted(request)}")
    if not request["Parameters"]:
        raise client_error("ValidationException", action, "Parameters is empty")
    try:
        return parse(request["Statement"]), [stored(value) for value in request["Parameters"]]
    except InvalidValue as error:
        raise client_error("ValidationException", action, str(error)) from None


def _key_alone(action: str, schema: KeyedTable, key: Item) -> ItemKey:
    if set(key) != {schema.partition_key, schema.sort_key}:
        raise client_error("ValidationException", action, "The number of conditions on the keys is invalid")
    try:
        _check_keys(schema, key)
    except _Refused as refused:
        raise client_error(refused.code, action, refused.message) from None
    return schema.key_of(key)


def _checked_item(schema: KeyedTable, item: Item) -> Item:
    try:
        new = {name: stored(value) for name, value in item.items()}
    except InvalidValue as error:
        raise _Refused("ValidationException", str(error)) from None
    _check_keys(schema, new)
    _check_size(new)
    return new


def _check_keys(schema: KeyedTable, item: Item) -> None:
    limits = ((schema.partition_key, PARTITION_KEY_LIMIT_BYTES), (schema.sort_key, SORT_KEY_LIMIT_BYTES))
    for name, limit in limits:
        text = item.get(name, {}).get("S")
        if text is None:
            raise _Refused("ValidationException", f"The key attribute {name} was not given a text")
        if not text or len(text.encode()) > limit:
            raise _Refused("ValidationException", f"The key attribute {name} is empty or over {limit} bytes")


def _check_size(item: Item) -> None:
    if _MOST_BYTES_A_CHARACTER * len(repr(item)) <= ITEM_LIMIT_BYTES:
        return  # The exact size takes longer to compute, and is no larger.
    if item_size_bytes(item) > ITEM_LIMIT_BYTES:
        raise _Refused("ValidationException", "Item size has exceeded the maximum allowed size")


def _page_length(items: Sequence[Item]) -> int:
    """Return how many of the items a query returns. A page ends with the item that reaches the limit."""
    total = 0
    for count, item in enumerate(items, 1):
        total += item_size_bytes(item)
        if total >= QUERY_LIMIT_BYTES:
            return count
    return len(items)


def _how_many_fit(items: Iterable[Item]) -> int:
    """Return how many of the items, counted from the first, fit in one answer of BatchGetItem."""
    listed = list(items)
    if len(listed) * ITEM_LIMIT_BYTES <= GET_LIMIT_BYTES:
        return len(listed)
    total = 0
    for count, item in enumerate(listed):
        total += item_size_bytes(item)
        if total > GET_LIMIT_BYTES:
            return count
    return len(listed)
