"""The stores that faults are injected between, and what they hold of each sale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from more_itertools import chunked
from pyiceberg.expressions import EqualTo
from pyiceberg.manifest import ManifestContent

from lambda_fn.aws.batch_requests import GET_LIMIT
from lambda_fn.guard.items import guard_key
from lambda_fn.projection.item import projection_key
from lambda_fn.sale import Sale
from lambda_fn.settings import Settings
from testbed.stores import Stores, client, create_stores
from tests.faults.harness.table_rows import TableRows
from tests.tables import TableUnderTest, provisioned

# pyiceberg's type hints describe the underlying model, not the arguments in its documentation.
_equal: Final[Any] = EqualTo
_COMPLETED: Final = {"S": "COMPLETED"}


@dataclass(frozen=True)
class StoredSale:
    """What the stores hold of a sale."""

    rows: int
    items: int
    completed: bool


@dataclass(frozen=True)
class StoresUnderTest:
    """The stores of one deployment on the emulator, and all dead letters received from them."""

    stores: Stores
    _letters: set[str] = field(default_factory=set)

    @classmethod
    def create(cls, endpoint: str) -> StoresUnderTest:
        """Create empty stores on the emulator."""
        return cls(create_stores(endpoint))

    @property
    def endpoint(self) -> str:
        """The emulator's address."""
        return self.stores.endpoint

    @property
    def table(self) -> TableUnderTest:
        """The Iceberg table."""
        return TableUnderTest(self.stores.catalog, self.stores.namespace)

    def with_new_table(self) -> StoresUnderTest:
        """Return the same stores with an empty Iceberg table. A table's metadata grows with each snapshot."""
        return replace(self, stores=replace(self.stores, namespace=provisioned(self.stores.catalog).namespace))

    def settings(self, endpoint: str, request_seconds: float) -> Settings:
        """Return the function's settings: where its requests go, and how long each may take."""
        return self.stores.settings(endpoint, request_seconds)

    def stored(self, sales: Collection[Sale]) -> Mapping[str, StoredSale]:
        """Return what is stored of one tenant's sales, by sale id."""
        (tenant,) = {sale.tenant_id for sale in sales}
        rows = self.rows(tenant)
        item_keys = {sale.sale_id: _key(("PK", "SK"), projection_key(sale)) for sale in sales}
        guard_keys = {sale.sale_id: _key(("pk", "sk"), guard_key(sale.key)) for sale in sales}
        items = self._read(self.stores.projection_table, item_keys)
        guards = self._read(self.stores.guard_table, guard_keys)
        return {
            sale.sale_id: StoredSale(
                rows[sale.sale_id],
                items=int(sale.sale_id in items),
                completed=guards.get(sale.sale_id, {}).get("status") == _COMPLETED,
            )
            for sale in sales
        }

    def rows(self, tenant: str) -> Counter[str]:
        """Return the number of rows of each of a tenant's sales."""
        table = self._catalog.load_table(self.table.identifier)
        head = table.current_snapshot()
        if head is not None and any(each.content is ManifestContent.DELETES for each in head.manifests(table.io)):
            scan = table.scan(_equal("tenant_id", tenant), selected_fields=("sale_id",))
            return Counter(scan.to_arrow()["sale_id"].to_pylist())
        return self._table_rows.count(table, tenant)

    def letters(self) -> set[str]:
        """Return the bodies of all dead letters so far."""
        url = self.stores.dead_letter_queue_url
        while messages := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            self._letters.update(message["Body"] for message in messages)
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
            self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return self._letters

    def _read(self, table: str, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Return the items that exist, under the names of their keys."""
        items: list[Any] = []
        for chunk in chunked(keys.values(), GET_LIMIT):
            answer = self._dynamodb.batch_get_item(RequestItems={table: {"Keys": list(chunk), "ConsistentRead": True}})
            assert not answer.get("UnprocessedKeys")
            items += answer["Responses"].get(table, [])
        return {name: item for name, key in keys.items() for item in items if key.items() <= item.items()}

    @cached_property
    def _table_rows(self) -> TableRows:
        return TableRows()

    @cached_property
    def _catalog(self) -> Any:
        return self.table.catalog()

    @cached_property
    def _dynamodb(self) -> Any:
        return client("dynamodb", self.endpoint)

    @cached_property
    def _sqs(self) -> Any:
        return client("sqs", self.endpoint)


def _key(names: tuple[str, str], values: tuple[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in zip(names, values, strict=True)}
