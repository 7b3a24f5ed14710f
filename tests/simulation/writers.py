"""The simulated writers: the real use case, variants of it without one rule each, and two naive designs."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, Final, Protocol

from lambda_fn.aws.batch_requests import Batches, Item
from lambda_fn.commit_queue.queue_table import DynamoDBCommitQueue
from lambda_fn.guard.guard_table import DynamoDBGuard
from lambda_fn.iceberg.group_commit.commit_queue import CommitQueue
from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.iceberg.store import CommitResult, Scan
from lambda_fn.ports import Completion, Metric, Reason, Unreadable
from lambda_fn.projection.projection_table import DynamoDBProjection
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import FactsDigest, Sale, SaleKey
from lambda_fn.sync_sales import Completed, SyncSales
from tests.fakes.parallel import InTurn
from tests.simulation.dynamodb import SimulatedDynamoDB
from tests.simulation.process import Process
from tests.simulation.world import (
    GUARD,
    PROJECTION,
    SimulatedClock,
    SimulatedTableStore,
    Staged,
    State,
    World,
)

INVOCATION_SECONDS: Final = 30.0

SimulatedTable = IcebergSalesTable[State, Staged]


class Writer(Protocol):
    """Takes sales, and returns those that may be acknowledged."""

    def deliver(self, sales: Sequence[Sale]) -> Collection[SaleKey]: ...


WriterOf = Callable[[World, Process, int], Writer]
"""Makes the writer of a process. The last argument is the number that its attempt ids start after."""


class SilentTelemetry:
    """Telemetry that records nothing."""

    def info(self, text: str, **keys: Any) -> None: ...

    def warning(self, text: str, **keys: Any) -> None: ...

    def measure(self, metric: Metric, value: float) -> None: ...

    def rejected(self, reason: Reason) -> None: ...


class ProtocolWriter:
    """The real use case with the real guard, projection and table of sales. Only the stores are simulated.

    Each subclass removes one rule of the protocol, by wrapping a port or by overriding one step.
    """

    always_in_groups = False
    invocation_seconds = INVOCATION_SECONDS

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
            telemetry=SilentTelemetry(),
            clock=self.clock,
            retry=self.retry,
            parallel=InTurn(),
            new_attempt_id=self.new_attempt_id,
            look_up_every_sale=self.look_up_every_sale(),
        )

    def look_up_every_sale(self) -> bool:
        return self.world.look_up_every_sale

    def new_attempt_id(self) -> int:
        self._next_attempt_id += 1
        return self._next_attempt_id

    def guard(self) -> DynamoDBGuard:
        return DynamoDBGuard(Batches(self.client, GUARD, self.retry, InTurn(), 1.0), self.clock, self.retry)

    def projection(self) -> DynamoDBProjection:
        return DynamoDBProjection(Batches(self.client, PROJECTION, self.retry, InTurn(), 1.0))

    def store(self) -> SimulatedTableStore:
        return SimulatedTableStore(self.world, self.process, self.clock)

    def queue(self) -> CommitQueue | None:
        return DynamoDBCommitQueue(
            Batches(self.client, GUARD, self.retry, InTurn(), 1.0), ("n", "t"), self.clock, InTurn()
        )

    def table(self) -> SimulatedTable:
        return IcebergSalesTable(self.store(), self.retry, self.queue(), always_in_groups=self.always_in_groups)

    def deliver(self, sales: Sequence[Sale]) -> Collection[SaleKey]:
        outcomes = self.sync_sales.sync(sales, Deadline.after(self.clock, self.invocation_seconds))
        for each in sales:
            if (facts := outcomes[each.key].facts) is not None and facts.conflicts_with(each.facts):
                self.world.rejected.add(each.key)
        return {key for key, outcome in outcomes.items() if isinstance(outcome, Completed)}


class GroupWriter(ProtocolWriter):
    """The same, with every attempt in a group, whether or not there is contention."""

    always_in_groups = True


class ImpatientGroupWriter(GroupWriter):
    """The same, with time for two or three looks at the queue: an exhaustive exploration stays small."""

    invocation_seconds = 6.0


# --- without one rule each -------------------------------------------------------------------------------------------


class _WritesNoFences(SimulatedTableStore):
    def written_fences(self, fenced: Collection[int]) -> Collection[int]:
        return ()


class FencesNotWritten(ProtocolWriter):
    """The fenced attempts are not written into the snapshot's summary."""

    def store(self) -> SimulatedTableStore:
        return _WritesNoFences(self.world, self.process, self.clock)


class _HidesFences(SimulatedTableStore):
    def load(self, known: State | None = None) -> State:
        state = super().load()
        shown = {key: replace(node, fenced=frozenset()) for key, node in state.snapshots.items()}
        return replace(state, snapshots=shown)


class FencesNotRead(ProtocolWriter):
    """An attempt does not check whether it is fenced."""

    def store(self) -> SimulatedTableStore:
        return _HidesFences(self.world, self.process, self.clock)


class _HidesTheFencedAttempts(SimulatedTableStore):
    """Shows no attempt as landed that this process has fenced."""

    def __init__(self, world: World, process: Process, clock: SimulatedClock) -> None:
        super().__init__(world, process, clock)
        self._fenced: set[int] = set()

    def load(self, known: State | None = None) -> State:
        state = super().load()
        shown = {key: blank(node) if key in self._fenced else node for key, node in state.snapshots.items()}
        return replace(state, snapshots=shown)

    def commit(
        self,
        state: State,
        staged: Staged,
        members: Sequence[tuple[int, str]],
        fenced: Collection[int],
        deadline: Deadline,
    ) -> CommitResult[State]:
        self._fenced |= set(fenced)
        return super().commit(state, staged, members, fenced, deadline)


class FencedAttemptsNotLookedFor(ProtocolWriter):
    """After a conflict, an attempt does not look for the attempts that it fences."""

    def store(self) -> SimulatedTableStore:
        return _HidesTheFencedAttempts(self.world, self.process, self.clock)


class _KeepsOnlyTheLastAttempt(SimulatedDynamoDB):
    def batch_execute_statement(self, *, Statements: Sequence[Any]) -> Any:  # noqa: N803 - boto3's name
        shortened = [
            {**statement, "Parameters": [_last_only(value) for value in statement["Parameters"]]}
            for statement in Statements
        ]
        return super().batch_execute_statement(Statements=shortened)


def _last_only(value: Item) -> Item:
    return {"L": value["L"][-1:]} if "L" in value else value


class OnlyLastAttemptKept(ProtocolWriter):
    """The guard keeps the last attempt only."""

    def guard(self) -> DynamoDBGuard:
        client: Any = _KeepsOnlyTheLastAttempt(self.world, self.process, self.clock)
        return DynamoDBGuard(Batches(client, GUARD, self.retry, InTurn(), 1.0), self.clock, self.retry)


class _HidesExpiry(SimulatedTableStore):
    def load(self, known: State | None = None) -> State:
        state = super().load()
        history = self.world.history
        shown = {key: state.snapshots.get(key) or blank(history[key].node) for key in history}
        return replace(state, snapshots=shown)


def blank(node: SnapshotNode) -> SnapshotNode:
    """Return an expired snapshot as a retained one that is no attempt and fences none."""
    return SnapshotNode(-node.snapshot_id - 10, node.parent_id, node.sequence_number)


class NoGiveUpWhenHistoryHasExpired(ProtocolWriter):
    """An attempt treats history that has expired as history in which nothing happened."""

    def store(self) -> SimulatedTableStore:
        return _HidesExpiry(self.world, self.process, self.clock)


class _HidesBackfills(SimulatedTableStore):
    def load(self, known: State | None = None) -> State:
        state = super().load()
        shown = {key: replace(node, backfill=False) for key, node in state.snapshots.items()}
        return replace(state, snapshots=shown)


class BackfillsNotLookedFor(ProtocolWriter):
    """An attempt that has looked sales up commits over the rows that a backfill has added since."""

    def store(self) -> SimulatedTableStore:
        return _HidesBackfills(self.world, self.process, self.clock)


class _FindsNoRow(SimulatedTableStore):
    def scan(self, state: State, sales: Sequence[Sale], deadline: Deadline) -> Scan:
        return Scan(())


class NoScan(ProtocolWriter):
    """If the history has expired, the table is not scanned, and the sale counts as not landed."""

    def store(self) -> SimulatedTableStore:
        return _FindsNoRow(self.world, self.process, self.clock)


class _FindsNoItem(DynamoDBProjection):
    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale | Unreadable]:
        return {}


class NoProjectionLookUp(ProtocolWriter):
    """A claim is taken as proof that the sale has never landed."""

    def projection(self) -> DynamoDBProjection:
        return _FindsNoItem(Batches(self.client, PROJECTION, self.retry, InTurn(), 1.0))


class NoLookUpAfterALoss(ProtocolWriter):
    """After the guard or the projection was lost, traffic starts again as if nothing had happened."""

    def look_up_every_sale(self) -> bool:
        return False


class _HashedAsAWhole(Sale):
    @cached_property
    def facts(self) -> FactsDigest:
        return FactsDigest(super().facts.payload_hash)


class FactsComparedAsAWhole(ProtocolWriter):
    """Facts are compared by one hash, also if one of two versions does not know all of them."""

    def deliver(self, sales: Sequence[Sale]) -> Collection[SaleKey]:
        return super().deliver(
            [_HashedAsAWhole(**{f.name: getattr(each, f.name) for f in fields(each)}) for each in sales]
        )


class _PutsLater(DynamoDBProjection):
    """Reports items as stored, and stores them later."""

    def __init__(self, batches: Batches) -> None:
        super().__init__(batches)
        self.pending: list[Sale] = []

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        self.pending.extend(sales)
        return {sale.key for sale in sales}

    def put_pending(self, deadline: Deadline) -> None:
        super().put(self.pending, deadline)
        self.pending.clear()


class _CompletesFirst(DynamoDBGuard):
    later: _PutsLater

    def complete(self, completions: Sequence[Completion], deadline: Deadline) -> Collection[SaleKey]:
        completed = super().complete(completions, deadline)
        self.later.put_pending(deadline)
        return completed


class CompletedBeforeProjection(ProtocolWriter):
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


WITHOUT_ONE_RULE: Final[Sequence[type[ProtocolWriter]]] = (
    FencesNotWritten,
    FencesNotRead,
    FencedAttemptsNotLookedFor,
    OnlyLastAttemptKept,
    NoGiveUpWhenHistoryHasExpired,
    BackfillsNotLookedFor,
    NoScan,
    NoProjectionLookUp,
    NoLookUpAfterALoss,
    FactsComparedAsAWhole,
    CompletedBeforeProjection,
)
