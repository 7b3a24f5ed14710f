"""Who is simulated: the real use case, variants of it that lack one rule each, and two naive designs."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from lambda_fn.aws.batch_requests import Batches, Item, ItemKey
from lambda_fn.errors import StoreUnavailable
from lambda_fn.guard.guard_table import DynamoDBGuard
from lambda_fn.guard.items import completed_item, guard_key
from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.iceberg.sales_table import IcebergAppendAttempt, IcebergSalesTable
from lambda_fn.iceberg.store import CommitAnswer, Committed, StagedAppend, TableState
from lambda_fn.ports import AppendResult, Completion, Metric, Reason
from lambda_fn.projection.item import item_of
from lambda_fn.projection.projection_table import DynamoDBProjection
from lambda_fn.runtime.parallel import InTurn
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale, SaleKey
from lambda_fn.sync_sales import Done, SyncSales
from tests.simulation.process import Process
from tests.simulation.world import (
    GUARD,
    PROJECTION,
    SimulatedClock,
    SimulatedDynamoDB,
    SimulatedTableStore,
    State,
    World,
)

INVOCATION_SECONDS: Final = 30.0


class Writer(Protocol):
    """Takes sales, and tells which of them may be acknowledged."""

    def deliver(self, sales: Sequence[Sale]) -> Collection[SaleKey]: ...


WriterOf = Callable[[World, Process, int], Writer]
"""Makes the writer of a process from the world, the process, and the first of its attempt ids."""


class Silent:
    """Telemetry that nobody reads."""

    def info(self, text: str, **keys: Any) -> None: ...

    def warning(self, text: str, **keys: Any) -> None: ...

    def measure(self, metric: Metric, value: float) -> None: ...

    def rejected(self, reason: Reason) -> None: ...


class Protocolled:
    """The real use case over the real guard, projection and table of sales; its stores alone are simulated.

    Subclasses take one rule of the protocol away, by wrapping a port or by overriding one step.
    """

    def __init__(self, world: World, process: Process, first_attempt_id: int) -> None:
        self.world = world
        self.process = process
        self.clock = SimulatedClock(world)
        self.retry = Retry(self.clock, random.Random(first_attempt_id), first_seconds=1.0, longest_seconds=8.0)
        self.client: Any = SimulatedDynamoDB(world, process, self.clock)
        self._next_attempt_id = first_attempt_id
        self.sync_sales = SyncSales(
            guard=self.guard(),
            table=self.table(),
            projection=self.projection(),
            telemetry=Silent(),
            clock=self.clock,
            retry=self.retry,
            parallel=InTurn(),
            new_attempt_id=self.new_attempt_id,
        )

    def new_attempt_id(self) -> int:
        self._next_attempt_id += 1
        return self._next_attempt_id

    def guard(self) -> DynamoDBGuard:
        return DynamoDBGuard(Batches(self.client, GUARD, self.retry, InTurn(), 1.0), self.clock, self.retry)

    def projection(self) -> DynamoDBProjection:
        return DynamoDBProjection(Batches(self.client, PROJECTION, self.retry, InTurn(), 1.0))

    def store(self) -> SimulatedTableStore:
        return SimulatedTableStore(self.world, self.process, self.clock)

    def table(self) -> IcebergSalesTable:
        return IcebergSalesTable(self.store(), self.retry)

    def deliver(self, sales: Sequence[Sale]) -> Collection[SaleKey]:
        fates = self.sync_sales.sync(sales, Deadline.after(self.clock, INVOCATION_SECONDS))
        return {key for key, fate in fates.items() if isinstance(fate, Done)}


# --- without one rule each -------------------------------------------------------------------------------------------


class _ForgetsFences(SimulatedTableStore):
    def commit(
        self, state: TableState, staged: StagedAppend, fenced: Collection[int], deadline: Deadline
    ) -> CommitAnswer:
        return super().commit(state, staged, (), deadline)


class FencesNotWritten(Protocolled):
    """Fenced attempts are not written into the snapshot's summary."""

    def store(self) -> SimulatedTableStore:
        return _ForgetsFences(self.world, self.process, self.clock)


class _HidesFences(SimulatedTableStore):
    def load(self) -> State:
        state = super().load()
        blind = {
            key: SnapshotNode(node.snapshot_id, node.parent_id, node.sequence_number)
            for key, node in state.snapshots.items()
        }
        return State(state.head, blind)


class FencesNotRead(Protocolled):
    """A worker does not look whether it was fenced."""

    def store(self) -> SimulatedTableStore:
        return _HidesFences(self.world, self.process, self.clock)


class _ForgetsWhomItFenced(IcebergAppendAttempt):
    def _judge(self, fenced: Collection[int], conflicts: int, deadline: Deadline) -> AppendResult | None:
        return super()._judge((), conflicts, deadline)


class _TableThatForgets(IcebergSalesTable):
    def begin(self, attempt_id: int, deadline: Deadline) -> IcebergAppendAttempt:
        state = self._known or self.load(deadline)
        return _ForgetsWhomItFenced(self, self._store, self._retry, attempt_id, state)


class FencedNotLookedFor(Protocolled):
    """After a conflict, a worker does not look for the attempts that it fenced."""

    def table(self) -> IcebergSalesTable:
        return _TableThatForgets(self.store(), self.retry)


class _KeepsOnlyTheLast(SimulatedDynamoDB):
    def batch_execute_statement(self, *, Statements: Sequence[Any]) -> Any:  # noqa: N803 - boto3's name
        shortened = [
            {**statement, "Parameters": [_last_only(value) for value in statement["Parameters"]]}
            for statement in Statements
        ]
        return super().batch_execute_statement(Statements=shortened)


def _last_only(value: Item) -> Item:
    return {"L": value["L"][-1:]} if "L" in value else value


class OnlyLastAttemptKept(Protocolled):
    """The guard remembers the last attempt only."""

    def __init__(self, world: World, process: Process, first_attempt_id: int) -> None:
        super().__init__(world, process, first_attempt_id)

    def guard(self) -> DynamoDBGuard:
        client: Any = _KeepsOnlyTheLast(self.world, self.process, self.clock)
        return DynamoDBGuard(Batches(client, GUARD, self.retry, InTurn(), 1.0), self.clock, self.retry)


class _PretendsToKnowAll(SimulatedTableStore):
    def load(self) -> State:
        state = super().load()
        history = self.world.history
        return State(state.head, {key: state.snapshots.get(key) or _blank(history[key].node) for key in history})


def _blank(node: SnapshotNode) -> SnapshotNode:
    """Return an expired snapshot as one that is there and says nothing."""
    return SnapshotNode(-node.snapshot_id - 10, node.parent_id, node.sequence_number)


class NoGiveUpWhenHistoryIsGone(Protocolled):
    """History that has expired counts as history in which nothing happened."""

    def store(self) -> SimulatedTableStore:
        return _PretendsToKnowAll(self.world, self.process, self.clock)


class _ScansNothing(SimulatedTableStore):
    def scan(self, state: TableState, sales: Sequence[Sale]) -> Collection[SaleKey]:
        return set()


class NoScan(Protocolled):
    """Where history is gone, the table is not scanned, and the sale counts as not landed."""

    def store(self) -> SimulatedTableStore:
        return _ScansNothing(self.world, self.process, self.clock)


class _LooksAway(DynamoDBProjection):
    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale]:
        return {}


class NoProjectionLookUp(Protocolled):
    """A claim is taken as proof that the sale was never seen."""

    def projection(self) -> DynamoDBProjection:
        return _LooksAway(Batches(self.client, PROJECTION, self.retry, InTurn(), 1.0))


class _PutsLater(DynamoDBProjection):
    """Says that items are stored, and stores them when told so."""

    def __init__(self, batches: Batches) -> None:
        super().__init__(batches)
        self.waiting: list[Sale] = []

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        self.waiting.extend(sales)
        return {sale.key for sale in sales}

    def really_put(self, deadline: Deadline) -> None:
        super().put(self.waiting, deadline)
        self.waiting.clear()


class _CompletesFirst(DynamoDBGuard):
    later: _PutsLater

    def complete(self, completions: Sequence[Completion], deadline: Deadline) -> Collection[SaleKey]:
        completed = super().complete(completions, deadline)
        self.later.really_put(deadline)
        return completed


class CompletedBeforeProjection(Protocolled):
    """The guard is completed before the projection item is put."""

    def __init__(self, world: World, process: Process, first_attempt_id: int) -> None:
        self._later: _PutsLater | None = None
        super().__init__(world, process, first_attempt_id)

    def guard(self) -> DynamoDBGuard:
        guard = _CompletesFirst(Batches(self.client, GUARD, self.retry, InTurn(), 1.0), self.clock, self.retry)
        guard.later = self.projection()
        return guard

    def projection(self) -> _PutsLater:
        if self._later is None:
            self._later = _PutsLater(Batches(self.client, PROJECTION, self.retry, InTurn(), 1.0))
        return self._later


# --- naive designs ---------------------------------------------------------------------------------------------------


class CheckAndSetThenAppend:
    """Check and set the guard, then append and put, the way this is usually built; a failure is left to a retry.

    The append does what a library's does: it rebases after a conflict, and raises for anything else.
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
        self._released = world

    def deliver(self, sales: Sequence[Sale]) -> Collection[SaleKey]:
        deadline = Deadline.after(self._clock, INVOCATION_SECONDS)
        wanted: dict[ItemKey, Sale] = {guard_key(sale.key): sale for sale in sales}
        try:
            seen = self._guard.get(list(wanted), deadline)
            new = [sale for key, sale in wanted.items() if key not in seen]
            marks = [completed_item(Completion(sale.key, sale.payload_hash, None), self._clock.now()) for sale in new]
            self._guard.put(marks, deadline)
        except StoreUnavailable:
            return set()
        if not new or self._append(new, deadline):
            self._projection.put([item_of(sale) for sale in new], deadline)
            return {sale.key for sale in sales}
        if self.releases_on_failure:
            for sale in new:
                self._released.dynamodb.tables[GUARD.name].pop(guard_key(sale.key), None)
        return {sale.key for key, sale in wanted.items() if key in seen}

    def _append(self, sales: Sequence[Sale], deadline: Deadline) -> bool:
        try:
            for _ in range(5):
                state = self._store.load()
                self._snapshot_id += 1
                staged = self._store.stage(state, sales, self._snapshot_id)
                answer = self._store.commit(state, staged, (), deadline)
                if isinstance(answer, Committed):
                    return True
                if answer.cause != "409":
                    return False
        except StoreUnavailable:
            pass
        return False


class CheckAndSetReleasedOnFailure(CheckAndSetThenAppend):
    """The same, with the claim deleted when the append raises, as general idempotency helpers do."""

    releases_on_failure = True


WITHOUT_ONE_RULE: Final[Sequence[type[Protocolled]]] = (
    FencesNotWritten,
    FencesNotRead,
    FencedNotLookedFor,
    OnlyLastAttemptKept,
    NoGiveUpWhenHistoryIsGone,
    NoScan,
    NoProjectionLookUp,
    CompletedBeforeProjection,
)
