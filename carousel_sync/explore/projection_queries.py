"""The projection's access patterns, each one DynamoDB Query on the table's key or on an index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from boto3.dynamodb.conditions import ConditionBase, Key
from botocore.exceptions import ClientError

from carousel_sync.aws.conditions import condition_parameters
from carousel_sync.aws.target import Target
from carousel_sync.explore.results import json_value
from lambda_fn.aws.batch_requests import Item
from lambda_fn.errors import ConfigurationError

_EMBEDDING: Final = "embedding"
_KEYS: Final = frozenset({"PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK"})


@dataclass(frozen=True)
class AccessPattern:
    """A Query on the projection: the index (None: the table's own key), and the condition on its keys."""

    index: str | None
    condition: ConditionBase

    def parameters(self, table: str) -> dict[str, Any]:
        """Return the parameters of the Query, which reads the newest sale first."""
        return {
            "TableName": table,
            **({"IndexName": self.index} if self.index else {}),
            **condition_parameters("KeyConditionExpression", self.condition),
            "ScanIndexForward": False,
        }


def by_tenant(tenant: str, since: date) -> AccessPattern:
    """Read a tenant's sales since a date. The index holds every attribute but the embedding and the expiry time."""
    partition = Key("GSI1PK").eq({"S": f"TENANT#{tenant}"})
    return AccessPattern("GSI1", partition & Key("GSI1SK").gte({"S": f"DATE#{since.isoformat()}"}))


def by_product(tenant: str, product: str) -> AccessPattern:
    """Read all sales of one product, with their embeddings."""
    partition = Key("PK").eq({"S": f"TENANT#{tenant}#PRODUCT#{product}"})
    return AccessPattern(None, partition & Key("SK").begins_with({"S": "SALE#"}))


def by_shard(tenant: str, shard: int, sold_on: date) -> AccessPattern:
    """Read a tenant's sales of one day in one shard of the embedding index, with their embeddings."""
    partition = Key("GSI2PK").eq({"S": f"TENANT#{tenant}#EMBEDDING#{shard}"})
    return AccessPattern("GSI2", partition & Key("GSI2SK").eq({"S": f"DATE#{sold_on.isoformat()}"}))


def read(target: Target, pattern: AccessPattern, page_size: int | None = None) -> Iterator[Item]:
    """Yield all items, page by page. ``page_size`` limits the number of items that one request evaluates.

    Raises ConfigurationError when the table or its index does not exist, and botocore's errors otherwise.
    """
    client, table = target.client("dynamodb"), target.settings.projection_table
    paging = {"PageSize": page_size} if page_size else {}
    try:
        for page in client.get_paginator("query").paginate(**pattern.parameters(table), PaginationConfig=paging):
            yield from page["Items"]
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ResourceNotFoundException" or (code == "ValidationException" and "index" in message):
            index = f"index {pattern.index} of " if pattern.index else ""
            raise ConfigurationError(
                f"Reading {index}DynamoDB table {table} at {target} failed: {message}. Nothing was changed. Deploy the "
                f"stack again to create what is missing; carousel-sync doctor {target.flags} lists it."
            ) from error
        raise


def as_document(item: Item) -> dict[str, Any]:
    """Convert an item to JSON values: without the keys, with exact numbers, and the embedding as a list of numbers."""
    document = {name: _plain(value) for name, value in sorted(item.items()) if name not in _KEYS}
    if _EMBEDDING in document:
        document[_EMBEDDING] = json.loads(document[_EMBEDDING])
    return document


def _plain(value: Mapping[str, str]) -> Any:
    return json_value(Decimal(value["N"])) if "N" in value else value.get("S")
