"""Controls: writers of a common design. The harnesses must detect that they lose or duplicate sales.

Both append with pyiceberg's Table.append, which commits and retries by itself. Both set a mark in the guard table with
a condition. They use this project's code to parse events, to build rows and items, and to reach the stores, so that
the protocol is the only difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from catalog_config.connect import connect
from lambda_fn.guard.items import completed_item, guard_key
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.ports import Completion
from lambda_fn.projection.item import item_of
from lambda_fn.runtime.retry import Clock
from lambda_fn.sale import Sale
from lambda_fn.settings import Settings
from tests import builders
from tests.faults.harness.stores_under_test import StoresUnderTest

_OK: Final = {"statusCode": 200, "body": "Event processed successfully"}
_DUPLICATE: Final = {"statusCode": 200, "body": "Duplicate event - skipped"}


class NaiveWriter:
    """A handler of single events. With ``marks_first`` it marks an event before it writes it, otherwise after."""

    def __init__(self, settings: Settings, clock: Clock, *, marks_first: bool) -> None:
        self._settings = settings
        self._clock = clock
        self._marks_first = marks_first
        config = Config(
            connect_timeout=settings.connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            retries={"total_max_attempts": 3},
        )
        session: Any = boto3.Session(region_name=settings.region)
        self._dynamodb = session.client("dynamodb", endpoint_url=settings.endpoint_url, config=config)
        self._pool = ThreadPoolExecutor(2)

    def handle(self, event: Any, context: Any) -> Mapping[str, Any]:
        """Check and set the mark, write to both stores at the same time, and acknowledge. Raises any failure."""
        sale = builders.read(event)
        assert isinstance(sale, Sale)
        if self._marks_first:
            if not self._mark(sale):
                return _DUPLICATE
        elif self._is_marked(sale):
            return _DUPLICATE
        writes = [self._pool.submit(self.append, [sale]), self._pool.submit(self._put_item, sale)]
        for write in writes:
            write.result()
        if not self._marks_first:
            self._mark(sale)
        return _OK

    def handle_batch(self, bodies: Sequence[str]) -> None:
        """Check and set a mark for each sale, and write the new ones to both stores. Raises any failure."""
        read = [builders.read_text(body) for body in bodies]
        new = [sale for sale in read if isinstance(sale, Sale) and self._mark(sale)]
        if new:
            self.append(new)
            for sale in new:
                self._put_item(sale)

    def append(self, sales: list[Sale]) -> None:
        """Append rows with pyiceberg, including its retries of a commit."""
        table = connect(self._settings.catalog).load_table(self._settings.table_identifier)
        table.append(arrow_table(sales, table.schema()))

    def _put_item(self, sale: Sale) -> None:
        self._dynamodb.put_item(TableName=self._settings.projection_table, Item=item_of(sale))

    def _mark(self, sale: Sale) -> bool:
        item = completed_item(Completion(sale.key, sale.facts, None), self._clock.now())
        try:
            self._dynamodb.put_item(
                TableName=self._settings.guard_table, Item=item, ConditionExpression="attribute_not_exists(pk)"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _is_marked(self, sale: Sale) -> bool:
        partition, sort = guard_key(sale.key)
        key = {"pk": {"S": partition}, "sk": {"S": sort}}
        answer = self._dynamodb.get_item(TableName=self._settings.guard_table, Key=key, ConsistentRead=True)
        return "Item" in answer


def mark_first(stores: StoresUnderTest, endpoint: str, request_seconds: float, clock: Clock) -> NaiveWriter:
    """Return the common design: check and set the mark, then write and acknowledge."""
    return NaiveWriter(stores.settings(endpoint, request_seconds), clock, marks_first=True)


def mark_last(stores: StoresUnderTest, endpoint: str, request_seconds: float, clock: Clock) -> NaiveWriter:
    """Return the common repair of that design: check, write, then mark."""
    return NaiveWriter(stores.settings(endpoint, request_seconds), clock, marks_first=False)
