"""The stores of one deployment on the emulator, without the deployment: the tables, the queue, and what they hold."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import boto3
from more_itertools import chunked
from pyiceberg.expressions import EqualTo

from lambda_fn.aws.batch_requests import GET_LIMIT
from lambda_fn.guard.items import guard_key
from lambda_fn.projection.item import projection_key
from lambda_fn.sale import Sale
from lambda_fn.settings import Settings
from testbed.dynamodb_tables import create_tables
from testbed.emulator import REGION
from tests.tables import TABLE, TableUnderTest, provisioned, s3_tables_config

# pyiceberg's type hints describe the model behind it, not the arguments that its documentation gives.
_equal: Final[Any] = EqualTo
_COMPLETED: Final = {"S": "COMPLETED"}


class ShiftedClock:
    """The machine's clock, whose date can be put forward, so that leases lapse, and whose pauses can be cut short."""

    def __init__(self, pause_factor: float = 1.0) -> None:
        self.shift_seconds = 0.0
        self._pause_factor = pause_factor

    def now(self) -> float:
        return time.time() + self.shift_seconds

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds * self._pause_factor)


class Context:
    """An invocation's context with so many seconds left."""

    aws_request_id = "request-1"

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


@dataclass(frozen=True)
class Stored:
    """What the stores hold of a sale."""

    rows: int
    items: int
    completed: bool


@dataclass(frozen=True)
class World:
    """An Iceberg table, the guard, the projection and a dead-letter queue, all empty at first."""

    endpoint: str
    table: TableUnderTest
    guard_name: str
    projection_name: str
    queue_url: str
    _letters: set[str] = field(default_factory=set)

    @classmethod
    def create(cls, endpoint: str) -> World:
        """Make everything on the emulator, under names of its own."""
        suffix = uuid.uuid4().hex[:12]
        guard_name, projection_name = f"guard-{suffix}", f"projection-{suffix}"
        create_tables(_client("dynamodb", endpoint), guard_name, projection_name)
        queue_url = _client("sqs", endpoint).create_queue(QueueName=f"dead-letters-{suffix}")["QueueUrl"]
        table = provisioned(s3_tables_config(endpoint, f"lake-{suffix}"))
        return cls(endpoint, table, guard_name, projection_name, queue_url)

    def with_a_new_table(self) -> World:
        """Return the same stores with an empty Iceberg table: every snapshot makes a table's metadata longer."""
        return replace(self, table=provisioned(self.table.config))

    def settings(self, endpoint: str, request_seconds: float) -> Settings:
        """Return the function's settings: where its requests go, and how long each of them may take."""
        return Settings(
            stage="faults",
            region=REGION,
            catalog=replace(
                self.table.config,
                endpoint_url=endpoint,
                connect_timeout_seconds=request_seconds,
                read_timeout_seconds=request_seconds,
            ),
            namespace=self.table.namespace,
            table=TABLE,
            guard_table=self.guard_name,
            projection_table=self.projection_name,
            dead_letter_queue_url=self.queue_url,
            endpoint_url=endpoint,
            connect_timeout_seconds=request_seconds,
            read_timeout_seconds=request_seconds,
        )

    def stored(self, sales: Collection[Sale]) -> Mapping[str, Stored]:
        """Return what is stored of one tenant's sales, by sale id."""
        (tenant,) = {sale.tenant_id for sale in sales}
        rows = self.rows(tenant)
        items = self._read(
            self.projection_name, {sale.sale_id: _key(("PK", "SK"), projection_key(sale)) for sale in sales}
        )
        guards = self._read(self.guard_name, {sale.sale_id: _key(("pk", "sk"), guard_key(sale.key)) for sale in sales})
        return {
            sale.sale_id: Stored(
                rows[sale.sale_id],
                items=int(sale.sale_id in items),
                completed=guards.get(sale.sale_id, {}).get("status") == _COMPLETED,
            )
            for sale in sales
        }

    def rows(self, tenant: str) -> Counter[str]:
        """Return how many rows each of a tenant's sales has."""
        table = self._catalog.load_table(self.table.identifier)
        scan = table.scan(_equal("tenant_id", tenant), selected_fields=("sale_id",))
        return Counter(scan.to_arrow()["sale_id"].to_pylist())

    def letters(self) -> set[str]:
        """Return the bodies of all dead letters so far."""
        while messages := self._sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            self._letters.update(message["Body"] for message in messages)
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
            self._sqs.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
        return self._letters

    def _read(self, table: str, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Return the items that exist, under the names of their keys."""
        items: list[Any] = []
        for some in chunked(keys.values(), GET_LIMIT):
            answer = self._dynamodb.batch_get_item(RequestItems={table: {"Keys": list(some), "ConsistentRead": True}})
            assert not answer.get("UnprocessedKeys")
            items += answer["Responses"].get(table, [])
        return {name: item for name, key in keys.items() for item in items if key.items() <= item.items()}

    @cached_property
    def _catalog(self) -> Any:
        return self.table.catalog()

    @cached_property
    def _dynamodb(self) -> Any:
        return _client("dynamodb", self.endpoint)

    @cached_property
    def _sqs(self) -> Any:
        return _client("sqs", self.endpoint)


def _client(service: str, endpoint: str) -> Any:
    session: Any = boto3.Session(region_name=REGION)
    return session.client(service, endpoint_url=endpoint)


def _key(names: tuple[str, str], values: tuple[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in zip(names, values, strict=True)}
