"""The usual designs, which lose or double sales: the controls of the simulation."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

from lambda_fn.aws.batch_requests import Batches, ItemKey
from lambda_fn.errors import StoreUnavailable
from lambda_fn.guard.items import completed_item, guard_key
from lambda_fn.iceberg.store import Committed
from lambda_fn.ports import Completion
from lambda_fn.projection.item import item_of
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale, SaleKey
from tests.fakes.parallel import InTurn
from tests.simulation.dynamodb import SimulatedDynamoDB
from tests.simulation.process import Process
from tests.simulation.world import (
    GUARD,
    PROJECTION,
    SimulatedClock,
    SimulatedTableStore,
    World,
)
from tests.simulation.writers import INVOCATION_SECONDS


class CheckAndSetThenAppend:
    """The usual design: check and set the guard, append, put the item. A failure is left to a retry.

    The append does what a library's append does: it rebases after a conflict, and fails for anything else.
    """

    releases_on_failure = False

    def __init__(self, world: World, process: Process, first_attempt_id: int) -> None:
        clock = SimulatedClock(world)
        retry = Retry(clock, random.Random(first_attempt_id))
        client: Any = SimulatedDynamoDB(world, process, clock)
        self._clock = clock
        self._guard = Batches(client, GUARD, retry, InTurn(), 1.0)
        self._projection = Batches(client, PROJECTION, retry, InTurn(), 1.0)
        self._store = SimulatedTableStore(world, process, clock)
        self._snapshot_id = first_attempt_id
        self._world = world

    def deliver(self, sales: Sequence[Sale]) -> Collection[SaleKey]:
        deadline = Deadline.after(self._clock, INVOCATION_SECONDS)
        by_guard: dict[ItemKey, Sale] = {guard_key(sale.key): sale for sale in sales}
        try:
            seen = self._guard.get(list(by_guard), deadline)
            new = [sale for key, sale in by_guard.items() if key not in seen]
            marks = [completed_item(Completion(sale.key, sale.facts, None), self._clock.now()) for sale in new]
            self._guard.put(marks, deadline)
        except StoreUnavailable:
            return set()
        if not new or self._append(new, deadline):
            self._projection.put([item_of(sale) for sale in new], deadline)
            return {sale.key for sale in sales}
        if self.releases_on_failure:
            for sale in new:
                self._world.dynamodb.tables[GUARD.name].pop(guard_key(sale.key), None)
        return {sale.key for key, sale in by_guard.items() if key in seen}

    def _append(self, sales: Sequence[Sale], deadline: Deadline) -> bool:
        try:
            for _ in range(5):
                state = self._store.load()
                self._snapshot_id += 1
                staged = self._store.stage(state, sales, self._snapshot_id)
                result = self._store.commit(state, staged, (), (), deadline)
                if isinstance(result, Committed):
                    return True
                if result.cause != "409":
                    return False
        except StoreUnavailable:
            pass
        return False


class CheckAndSetReleasedOnFailure(CheckAndSetThenAppend):
    """The same design, with the claim deleted if the append fails, as general idempotency libraries do."""

    releases_on_failure = True
