"""What the stores hold after a job, and the function beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, cast

from pyiceberg.table import Table

from carousel_sync.aws.target import Target
from carousel_sync.consistency.compare import Report
from carousel_sync.consistency.verify import verify_target
from lambda_fn.application import Application
from lambda_fn.settings import Settings
from lambda_fn.wiring import build
from testbed.stores import Stores, client
from tests.builders import event
from tests.tables import TableUnderTest

YOUNG = (datetime.now(UTC) - timedelta(days=40)).date().isoformat()
OLD = "2019-05-17"


@dataclass(frozen=True)
class Contents:
    """The stores of a deployment, as verify reads them: it needs these members of a target only."""

    stores: Stores

    @cached_property
    def settings(self) -> Settings:
        """The function's settings. Its time-outs leave room for several requests within an invocation."""
        return self.stores.settings(request_seconds=4.0)

    @property
    def table(self) -> TableUnderTest:
        """The Iceberg table."""
        return TableUnderTest(self.stores.catalog, self.stores.namespace)

    def load_table(self) -> Table:
        """Load the Iceberg table."""
        return self.table.load()

    def client(self, service: str) -> Any:
        """Return a client of the emulator."""
        return client(service, self.stores.endpoint)

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows, with all columns, sorted."""
        rows: list[dict[str, Any]] = self.load_table().scan().to_arrow().to_pylist()
        return sorted(rows, key=lambda row: (row["tenant_id"], row["sale_id"]))

    def items(self) -> list[dict[str, Any]]:
        """Return all items of the projection, sorted."""
        return sorted(self._scan(self.stores.projection_table), key=lambda item: (item["PK"]["S"], item["SK"]["S"]))

    def claims(self) -> dict[str, dict[str, Any]]:
        """Return the items of the guard by sale id."""
        return {item["eventId"]["S"]: item for item in self._scan(self.stores.guard_table)}

    def end_leases(self) -> None:
        """Let every claim be taken over from now on, as after the time of its lease."""
        for item in self.claims().values():
            if item["status"]["S"] == "IN_PROGRESS":
                ended = {**item, "leaseUntil": {"N": "0"}}
                self.client("dynamodb").put_item(TableName=self.stores.guard_table, Item=ended)

    def snapshots(self) -> int:
        """Return the number of snapshots."""
        return len(self.load_table().metadata.snapshots)

    def verified(self) -> Report:
        """Compare the three stores, as ``carousel-sync verify`` does."""
        return verify_target(cast("Target", self))

    def function(self) -> Application:
        """Return the function."""
        with redirect_stdout(StringIO()):
            return build(self.settings)

    def deliver(self, application: Application, events: Sequence[dict[str, Any]]) -> list[str]:
        """Deliver a batch to the function, and return the sale ids of the events that it gives back."""
        records = [
            {"messageId": str(number), "body": json.dumps(given), "eventSource": "aws:sqs", "attributes": {}}
            for number, given in enumerate(events)
        ]
        with redirect_stdout(StringIO()):
            answer = application.handle({"Records": records}, None)
        failed = [int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]
        return sorted(events[number]["detail"]["saleId"] for number in failed)

    def _scan(self, table: str) -> list[dict[str, Any]]:
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]


def young(sale_id: str, **changes: object) -> dict[str, Any]:
    """Return the event of a sale that has an item."""
    return event(saleId=sale_id, soldDate=YOUNG, **changes) | {"time": f"{YOUNG}T12:00:00Z"}


def old(sale_id: str, **changes: object) -> dict[str, Any]:
    """Return the event of a sale whose item would have expired."""
    return event(saleId=sale_id, soldDate=OLD, **changes) | {"time": f"{OLD}T12:00:00Z"}


def write_lines(path: Path, events: Sequence[object]) -> Path:
    """Write each event, or text, as a line."""
    path.write_text("".join(f"{given if isinstance(given, str) else json.dumps(given)}\n" for given in events))
    return path
