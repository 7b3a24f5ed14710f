"""The stores without a network: they must be able to store every accepted sale."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import Table

from lambda_fn.aws.batch_requests import Batches
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.iceberg.staging import stage
from lambda_fn.ports import NO_SNAPSHOT, Claimed, Completion
from lambda_fn.projection.projection_table import DynamoDBProjection, projection_table
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.parallel import InTurn
from tests.tables import provisioned, sqlite_config

ATTEMPT = 5


class Stores:
    """An empty Iceberg table, whose files are written but never committed, and DynamoDB in memory."""

    def __init__(self, folder: Path) -> None:
        found = provisioned(sqlite_config(folder))
        self._table: Table = found.load()

    def store(self, sale: Sale) -> None:
        """Claim a sale, write its row and its item, and complete the claim. Fail when a step is not possible."""
        clock = FakeClock()
        retry = Retry(clock, random.SystemRandom())
        deadline = Deadline.after(clock, 60)
        guards, items = guard_table("guard"), projection_table("projection")
        database: Any = FakeDynamoDB(guards, items)
        guard = DynamoDBGuard(Batches(database, guards, retry, InTurn()), clock, retry)
        projection = DynamoDBProjection(Batches(database, items, retry, InTurn()))

        claim = guard.claim([sale], ATTEMPT, NO_SNAPSHOT, 60.0, deadline)[sale.key]
        assert isinstance(claim, Claimed)
        self._make_row(sale)
        assert projection.rejects(sale) is None
        assert set(projection.put([sale], deadline)) == {sale.key}
        found = projection.find([sale], deadline)[sale.key]
        assert found == sale
        assert found.payload_hash == sale.payload_hash
        completion = Completion(sale.key, sale.facts, ATTEMPT)
        assert set(guard.complete([completion], deadline)) == {sale.key}

    def _make_row(self, sale: Sale) -> None:
        (parquet, _) = stage(self._table, [sale], ATTEMPT).pending.values()
        (row,) = pq.read_table(pa.BufferReader(parquet.content)).to_pylist()
        texts = (row["tenant_id"], row["product_id"], row["sale_id"], row["category"], row["brand"], row["description"])
        assert texts == (sale.tenant_id, sale.product_id, sale.sale_id, sale.category, sale.brand, sale.description)
        assert (row["listed_price"], row["sold_price"]) == (sale.listed_price, sale.sold_price)
        assert (row["sold_date"], row["ingestion_timestamp"]) == (sale.sold_date, sale.recorded_at)
        assert row["embedding_vector"] == (None if sale.embedding is None else list(sale.embedding))
