"""DynamoDB's JSON protocol over a DynamoDB in memory: cheap enough that many writers do not wait for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import orjson
from botocore.exceptions import ClientError

from lambda_fn.aws.batch_requests import KeyedTable
from testbed.dynamodb.memory import MemoryDynamoDB

TARGET_PREFIX: Final = "DynamoDB_20120810."


class DynamoDBService:
    """Answers the requests that create the template's tables, and those of the function."""

    def __init__(self) -> None:
        self._dynamodb = MemoryDynamoDB()
        self._actions: Final = {
            "CreateTable": self._create_table,
            "DescribeTable": _describe_table,
            "UpdateTimeToLive": _update_time_to_live,
            "BatchGetItem": self._dynamodb.batch_get_item,
            "BatchWriteItem": self._dynamodb.batch_write_item,
            "BatchExecuteStatement": self._dynamodb.batch_execute_statement,
            "Query": self._dynamodb.query,
        }

    def answer(self, target: str, body: bytes) -> tuple[HTTPStatus, bytes]:
        """Return the status and the body of the answer to a request with this ``X-Amz-Target`` header."""
        action = self._actions.get(target.removeprefix(TARGET_PREFIX))
        if action is None:
            return _error("UnknownOperationException", target)
        try:
            answer = action(**orjson.loads(body))
        except ClientError as error:
            refusal: Any = error.response["Error"]
            return _error(refusal["Code"], refusal["Message"])
        except NotImplementedError as error:
            return _error("ValidationException", f"This DynamoDB in memory does not support {error}")
        return HTTPStatus.OK, orjson.dumps(answer)

    def _create_table(self, **request: Any) -> dict[str, Any]:
        keys = {key["KeyType"]: key["AttributeName"] for key in request["KeySchema"]}
        self._dynamodb.add_table(KeyedTable(request["TableName"], keys["HASH"], keys["RANGE"]))
        return _describe_table(TableName=request["TableName"])


def _describe_table(**request: Any) -> dict[str, Any]:
    return {"Table": {"TableName": request["TableName"], "TableStatus": "ACTIVE"}}


def _update_time_to_live(**request: Any) -> dict[str, Any]:
    return {"TimeToLiveSpecification": request["TimeToLiveSpecification"]}


def _error(code: str, message: str) -> tuple[HTTPStatus, bytes]:
    document = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
    return HTTPStatus.BAD_REQUEST, orjson.dumps(document)
