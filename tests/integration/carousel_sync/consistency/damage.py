"""The stores of a stack, and functions that damage them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from carousel_sync.consistency.repair import Repair, Repairs
from carousel_sync.consistency.verify import verify_target
from carousel_sync.local_stack.stack import LocalStack
from lambda_fn.application import Application
from lambda_fn.commit_queue.items import LEASE, entry_item, lease_attributes, queue_partition
from lambda_fn.guard.items import claimed_item
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.projection.item import projection_key
from lambda_fn.sale import Sale
from lambda_fn.wiring import build
from tests.builders import event, read

Items = dict[str, list[Any]]


class Stores:
    """The stores of one stack, with what tests need to read and damage them."""

    def __init__(self, stack: LocalStack) -> None:
        self.target = stack.target()
        self.settings = replace(self.target.settings, catalog=self.target.catalog_config)
        self.client: Any = self.target.client("dynamodb")

    def application(self) -> Application:
        return build(self.settings)

    def land(self, count: int = 1) -> list[Sale]:
        """Land sales of a new tenant, and return them."""
        tenant = f"tenant-{uuid.uuid4().hex[:12]}"
        events = [event(tenantId=tenant, saleId=f"sale-{number}", embedding=[0.5, 1.25]) for number in range(count)]
        assert self.deliver(self.application(), events) == []
        sales = [read(given) for given in events]
        return [sale for sale in sales if isinstance(sale, Sale)]

    @staticmethod
    def deliver(application: Application, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Deliver a batch, and return the events that were given back."""
        records = [
            {"messageId": str(number), "body": json.dumps(given), "eventSource": "aws:sqs", "attributes": {}}
            for number, given in enumerate(events)
        ]
        answer = application.handle({"Records": records}, None)
        return [events[int(failure["itemIdentifier"])] for failure in answer["batchItemFailures"]]

    def item_of(self, sale: Sale) -> dict[str, Any]:
        partition, sort = projection_key(sale)
        return {
            "TableName": self.settings.projection_table,
            "Key": {"PK": {"S": partition}, "SK": {"S": sort}},
        }

    def claim_of(self, sale: Sale) -> dict[str, Any]:
        key = {name: claimed_item(sale.key, sale.facts, 1, 1, 0, 0)[name] for name in ("pk", "sk")}
        return {"TableName": self.settings.guard_table, "Key": key}

    def read_claim(self, sale: Sale) -> dict[str, Any]:
        item: dict[str, Any] = self.client.get_item(**self.claim_of(sale), ConsistentRead=True)["Item"]
        return item

    def open_claim(self, sale: Sale, attempt: int = 7, lease_seconds: float = -60.0) -> None:
        """Write a claim as an attempt that crashed leaves it."""
        claim = claimed_item(sale.key, sale.facts, attempt, -1, time.time(), lease_seconds)
        self.client.put_item(TableName=self.settings.guard_table, Item=claim)

    def fill_commit_queue(self) -> None:
        """Write a lease, an entry, and an entry that cannot be read, as group commit leaves them in the guard table."""
        partition, now = queue_partition(self.settings.table_identifier), time.time()
        entry = entry_item(partition, QueueEntry(7, -1, frozenset({5}), "{}", now))
        lease = {"pk": {"S": partition}, "sk": {"S": LEASE}, **lease_attributes(Lease(1, 7, now, now + 1), now)}
        for item in (entry, lease, {"pk": {"S": partition}, "sk": {"S": "ENTRY#unreadable"}}):
            self.client.put_item(TableName=self.settings.guard_table, Item=item)

    def append_row(self, sale: Sale) -> None:
        table = self.target.load_table()
        table.append(arrow_table([sale], table.schema()))

    def delete_row(self, sale: Sale) -> None:
        self.target.load_table().delete(f"tenant_id = '{sale.tenant_id}' and sale_id = '{sale.sale_id}'")

    def change_item(self, sale: Sale, update: str, **values: Any) -> None:
        self.client.update_item(
            **self.item_of(sale),
            UpdateExpression=update,
            **({"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}} if values else {}),
        )

    def everything(self) -> Items:
        """Return the items of both DynamoDB tables, and the Iceberg table's head."""
        tables = (self.settings.projection_table, self.settings.guard_table)
        found: Items = {
            name: sorted(self.client.scan(TableName=name, ConsistentRead=True)["Items"], key=repr) for name in tables
        }
        return {**found, "head": [self.target.load_table().metadata_location]}

    def repair(self, *, dry_run: bool = False) -> Repairs:
        return Repair(self.target, verify_target(self.target), dry_run=dry_run).run()


def delete_item(stores: Stores, sale: Sale) -> None:
    stores.client.delete_item(**stores.item_of(sale))


def change_fact(stores: Stores, sale: Sale) -> None:
    stores.change_item(sale, "SET salePrice = :p, reviewedBy = :r REMOVE brand", p={"N": "1"}, r={"S": "somebody"})


def add_fact(stores: Stores, sale: Sale) -> None:
    stores.change_item(sale, "SET vendorId = :v", v={"S": "nobody"})


def lose_ids(stores: Stores, sale: Sale) -> None:
    stores.change_item(sale, "REMOVE saleId, tenantId")


def move_item(stores: Stores, sale: Sale) -> None:
    item = stores.client.get_item(**stores.item_of(sale))["Item"]
    delete_item(stores, sale)
    stores.client.put_item(
        TableName=stores.settings.projection_table, Item={**item, "SK": {"S": f"SALE#2020-01-01#{sale.sale_id}"}}
    )


def second_item(stores: Stores, sale: Sale) -> None:
    item = stores.client.get_item(**stores.item_of(sale))["Item"]
    stores.client.put_item(
        TableName=stores.settings.projection_table, Item={**item, "SK": {"S": f"SALE#2020-01-01#{sale.sale_id}"}}
    )


def leave_claim_open(stores: Stores, sale: Sale) -> None:
    stores.open_claim(sale)


def lose_item_and_completion(stores: Stores, sale: Sale) -> None:
    delete_item(stores, sale)
    stores.open_claim(sale)


def claim_of_a_sale_that_never_landed(stores: Stores, sale: Sale) -> None:
    stores.open_claim(replace(sale, sale_id="never landed"))


DAMAGES: dict[Callable[[Stores, Sale], None], set[str]] = {
    delete_item: {"items_written"},
    change_fact: {"items_corrected"},
    add_fact: {"items_corrected"},
    lose_ids: {"items_corrected"},
    move_item: {"items_written", "items_removed"},
    second_item: {"items_removed"},
    leave_claim_open: {"claims_completed"},
    lose_item_and_completion: {"items_written", "claims_completed"},
    claim_of_a_sale_that_never_landed: {"claims_released"},
}
