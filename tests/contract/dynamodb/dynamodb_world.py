"""A DynamoDB and the real adapters over it, with a clock that stands still and requests that can be made to fail."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lambda_fn.aws.batch_requests import Batches, Item
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.guard.items import guard_key
from lambda_fn.ports import ClaimResult, Completion
from lambda_fn.projection.projection_table import DynamoDBProjection, projection_table
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale
from testbed.dynamodb.attribute_values import stored
from tests.builders import sale
from tests.fakes.clock import FakeClock
from tests.fakes.faulty_dynamodb import FaultyDynamoDB

LEASE_SECONDS: Final = 60.0
READ_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Store:
    """The client of a DynamoDB or a stand-in, which has a guard and a projection table for this test session."""

    client: Any
    guard_name: str
    projection_name: str


@dataclass
class World:
    """A store, a clock and the adapters over them. The clock starts at the real time, which an engine uses.

    No other test uses ``tenant``; tests share the tables.
    """

    store: Store
    parallel: Parallel
    client: FaultyDynamoDB = field(init=False)
    clock: FakeClock = field(default_factory=lambda: FakeClock(float(int(time.time()))))
    tenant: str = field(default_factory=lambda: f"tenant-{uuid.uuid4().hex}")

    def __post_init__(self) -> None:
        self.client = FaultyDynamoDB(self.store.client)
        self.retry = Retry(self.clock, random.Random(1))
        self.guard_batches = self.batches(guard=True)
        self.projection_batches = self.batches(guard=False)
        self.guard = DynamoDBGuard(self.guard_batches, self.clock, self.retry)
        self.projection = DynamoDBProjection(self.projection_batches)

    def batches(self, *, guard: bool) -> Batches:
        table = guard_table(self.store.guard_name) if guard else projection_table(self.store.projection_name)
        client: Any = self.client
        return Batches(client, table, self.retry, self.parallel)

    def deadline(self, seconds: float = 60.0) -> Deadline:
        return Deadline.after(self.clock, seconds)

    def sale(self, number: int = 1, **changes: Any) -> Sale:
        return sale(**{"tenant_id": self.tenant, "sale_id": f"sale-{number}", **changes})

    def sales(self, count: int) -> list[Sale]:
        return [self.sale(number) for number in range(count)]

    def claim(self, sale: Sale, attempt_id: int, pin: int = 1000) -> ClaimResult:
        """Claim one sale."""
        (result,) = self.claim_all([sale], attempt_id, pin)
        return result

    def claim_all(self, sales: Sequence[Sale], attempt_id: int, pin: int = 1000) -> list[ClaimResult]:
        """Claim the sales, and return the results in the sales' order."""
        results = self.guard.claim(sales, attempt_id, pin, LEASE_SECONDS, self.deadline())
        assert results.keys() == {sale.key for sale in sales}
        return [results[sale.key] for sale in sales]

    def complete(self, *sales: Sale, snapshot_id: int | None = 7) -> None:
        """Complete the sales, which any attempt may do."""
        completions = [Completion(sale.key, sale.facts, snapshot_id) for sale in sales]
        assert self.guard.complete(completions, self.deadline()) == {sale.key for sale in sales}

    def guard_item(self, sale: Sale) -> Item:
        """Return the stored item of a sale, or an empty dictionary.

        The emulator returns the numbers in a statement unchanged; they are converted to DynamoDB's form.
        """
        key = guard_key(sale.key)
        item = self.guard_batches.get([key], self.deadline()).get(key, {})
        return {name: stored(value) for name, value in item.items()}
