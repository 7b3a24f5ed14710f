"""The stores of the simulation, the invariants that hold after every step, and the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

from lambda_fn.errors import StoreUnavailable
from lambda_fn.fields import LATER_FACTS
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.guard.items import Status, guard_key
from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.iceberg.store import CommitResult, Committed, NotSent, Scan, Unknown
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.projection.item import projection_key
from lambda_fn.projection.projection_table import projection_table
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import FactsDigest, Sale, SaleKey, facts_digest
from tests.fakes.dynamodb import IGNORED_BY_TTL_SECONDS, FakeDynamoDB
from tests.simulation.process import Process, Request, TimedOut, only

GUARD = guard_table("guard")
PROJECTION = projection_table("projection")
START = datetime(2026, 9, 21, tzinfo=UTC).timestamp()
LAPSE_SECONDS = 120.0
DAY_SECONDS = 25 * 3600.0
MONTH_SECONDS = 31 * 24 * 3600.0

_COMPLETED = {"S": Status.COMPLETED.value}


class SaleOfTheVersionBefore(Sale):
    """A sale as the version of the code reads it that does not know the last fact yet."""

    @cached_property
    def facts(self) -> FactsDigest:
        return facts_digest(self, LATER_FACTS[:-1])


@cache
def sale(number: int, *, old: bool = False, version_before: bool = False) -> Sale:
    """Return the sale with this number. The projection item of an old one has expired from the start.

    The event has a currency, which the version before does not know and leaves out.
    """
    version = SaleOfTheVersionBefore if version_before else Sale
    return version(
        tenant_id="t",
        product_id=f"p{number}",
        sale_id=str(number),
        category="c",
        brand="b",
        listed_price=Decimal(2),
        sold_price=Decimal(1),
        sold_date=date(2010, 1, 1) if old else date(2026, 9, 1),
        recorded_at=datetime(2026, 9, 21, tzinfo=UTC),
        currency=None if version_before else "EUR",
    )


@dataclass(frozen=True)
class Snapshot:
    """A snapshot in the table's history, with the sales that it added."""

    node: SnapshotNode
    sales: frozenset[SaleKey]


@dataclass(frozen=True)
class State:
    """The table in one response of the catalog."""

    head: int
    snapshots: Mapping[int, SnapshotNode]
    missing_facts: frozenset[str] = frozenset()
    schema: int = 0


@dataclass(frozen=True)
class Staged:
    """The files of an append."""

    sales: frozenset[SaleKey]
    attempt_id: int
    schema: int = 0


@dataclass
class World:
    """Everything outside the processes: the stores, the wall clock and what was acknowledged."""

    sales: Mapping[SaleKey, Sale]
    dynamodb: FakeDynamoDB = field(default_factory=lambda: FakeDynamoDB(GUARD, PROJECTION))
    history: dict[int, Snapshot] = field(default_factory=dict)
    expired: set[int] = field(default_factory=set)
    head: int = NO_SNAPSHOT
    wall: float = START
    acknowledged: set[SaleKey] = field(default_factory=set)
    rows: Counter[SaleKey] = field(default_factory=Counter)
    maintenance: int = 0
    schema: int = 0
    of_another_schema: list[int] = field(default_factory=list)
    """The attempts whose manifest had another schema than the table when it landed."""
    rejected: set[SaleKey] = field(default_factory=set)
    look_up_every_sale: bool = False
    without_item: set[SaleKey] = field(default_factory=set)
    """The sales that may have lost their item."""

    def state(self) -> State:
        """Return the table as the catalog shows it, without expired snapshots."""
        retained = {key: snapshot.node for key, snapshot in self.history.items() if key not in self.expired}
        return State(self.head, retained, schema=self.schema)

    def commit(
        self,
        parent: int,
        snapshot_id: int,
        sales: Sequence[SaleKey],
        fenced: Collection[int] = (),
        landed: Collection[int] = (),
        *,
        backfill: bool = False,
    ) -> bool:
        """Compare and set the head. Return whether the commit took effect.

        ``sales`` has a sale twice if two manifests have it. ``landed`` are attempts besides the one with the
        snapshot's id.
        """
        if parent != self.head:
            return False
        parent_id = None if parent == NO_SNAPSHOT else parent
        node = SnapshotNode(
            snapshot_id, parent_id, len(self.history) + 1, frozenset(fenced), frozenset(landed), backfill
        )
        self.history[snapshot_id] = Snapshot(node, frozenset(sales))
        self.rows.update(sales)
        self.head = snapshot_id
        return True

    def compact(self) -> None:
        """Commit a snapshot with the same rows, as a compaction does."""
        self.maintenance += 1
        self.commit(self.head, 1_000_000 + self.maintenance, ())

    def backfill_old_sales(self) -> None:
        """Land the sales whose items have expired and that have no row, without claims, as a backfill does."""
        missing = [
            key
            for key, known in self.sales.items()
            if not self.rows[key] and known.projection_expires_at <= self.wall - DAY_SECONDS
        ]
        if missing:
            self.maintenance += 1
            self.commit(self.head, 1_000_000 + self.maintenance, missing, backfill=True)

    def change_the_schema(self) -> None:
        """Add a column that no sale has."""
        self.schema += 1

    def expire_snapshots(self) -> None:
        """Expire every snapshot but the head."""
        self.expired = set(self.history) - {self.head}

    def let_leases_lapse(self) -> None:
        """Advance the wall clock past every lease."""
        self.wall += LAPSE_SECONDS

    def let_a_day_pass(self) -> None:
        """Advance the wall clock until completed guards expire, and delete expired items as DynamoDB does."""
        self._let_pass(DAY_SECONDS)

    def let_a_month_pass(self) -> None:
        """Advance the wall clock by 31 days, and delete expired items as DynamoDB does."""
        self._let_pass(MONTH_SECONDS)

    def _let_pass(self, seconds: float) -> None:
        self.wall += seconds
        self.dynamodb.delete_expired(self.wall)

    def lose_the_guard(self) -> None:
        """Delete every claim. The operator switches the look-up of every sale on."""
        self.dynamodb.tables[GUARD.name].clear()
        self.look_up_every_sale = True

    def lose_the_projection(self) -> None:
        """Delete every item. The operator switches the look-up of every sale on."""
        self._keep_items(0)

    def set_the_projection_back(self) -> None:
        """Delete the items of the later half, as a restored backup does. The look-up of every sale is switched on."""
        self._keep_items(len(self.dynamodb.tables[PROJECTION.name]) // 2)

    def _keep_items(self, count: int) -> None:
        items = self.dynamodb.tables[PROJECTION.name]
        kept = dict(list(items.items())[:count])
        items.clear()
        items.update(kept)
        self.without_item = set(self.sales)
        self.look_up_every_sale = True

    def digest(self) -> int:
        """Return a digest of the stores. Two worlds with the same digest behave the same from here on."""
        tables = tuple(
            repr(sorted((key, sorted(item.items(), key=lambda pair: pair[0])) for key, item in items.items()))
            for items in self.dynamodb.tables.values()
        )
        history = tuple(
            (key, it.node.parent_id, it.sales, it.node.fenced, it.node.landed, it.node.backfill)
            for key, it in self.history.items()
        )
        return hash(
            (tables, history, frozenset(self.expired), self.head, self.wall, frozenset(self.acknowledged), self.schema)
        )

    def lost_or_doubled(self) -> list[str]:
        """Return the violations that no design may have: an acknowledged sale without a row, or a sale with two."""
        lost = [
            f"sale {key.sale_id} is LOST: acknowledged, and no row" for key in self.acknowledged if not self.rows[key]
        ]
        return lost + [f"sale {key.sale_id} is DOUBLED: {rows} rows" for key, rows in self.rows.items() if rows > 1]

    def violations(self) -> list[str]:
        """Return the violations of the invariants, which hold after every step."""
        found = self.lost_or_doubled()
        found += [f"attempt {attempt} landed with ANOTHER SCHEMA" for attempt in self.of_another_schema]
        guards = self.dynamodb.tables[GUARD.name]
        items = self.dynamodb.tables[PROJECTION.name]
        for key, expected in self.sales.items():
            rows = self.rows[key]
            guard = guards.get(guard_key(key))
            completed = guard is not None and guard["status"] == _COMPLETED
            has_item = projection_key(expected) in items
            if completed and not rows:
                found.append(f"sale {key.sale_id} is LOST: COMPLETED, and no row")
            if has_item and not rows:
                found.append(f"sale {key.sale_id} has an ITEM and no row")
            if key in self.rejected:
                found.append(f"sale {key.sale_id} is REJECTED, although no event contradicts another")
            if has_item and expected.projection_expires_at < self.wall - IGNORED_BY_TTL_SECONDS:
                found.append(f"sale {key.sale_id} has an ITEM that DynamoDB never deletes")
            if (
                completed
                and not has_item
                and key not in self.without_item
                and expected.projection_expires_at > self.wall
            ):
                found.append(f"sale {key.sale_id} is COMPLETED and has NO ITEM")
        return found


class SimulatedClock:
    """The world's wall clock and the process's own monotonic clock, so that a process can stall at any point."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._monotonic = 0.0

    def now(self) -> float:
        return self._world.wall

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self._monotonic += seconds


class SimulatedTableStore:
    """An Iceberg table whose every request is a step that the scheduler controls."""

    load_seconds = 1.0
    commit_seconds = 1.0

    def __init__(self, world: World, process: Process, clock: SimulatedClock) -> None:
        self.world = world
        self._process = process
        self._clock = clock

    def load(self, known: State | None = None) -> State:
        state: State = self._read("reads the head", self.world.state)
        return state

    def stage(self, state: State, sales: Sequence[Sale], attempt_id: int) -> Staged:
        return Staged(frozenset(member.key for member in sales), attempt_id, state.schema)

    def fits(self, state: State, staged: Staged) -> bool:
        return staged.schema == state.schema

    def upload(self, state: State, staged: Staged, deadline: Deadline) -> None:
        """Do nothing: a file that no snapshot references changes nothing."""

    def share(self, state: State, staged: Staged, deadline: Deadline) -> NotSent | None:
        """Do nothing: an upload that fails leaves the attempt out of the queue."""
        return None

    def manifest_of(self, staged: Staged) -> str:
        return f"{'+'.join(sorted(key.sale_id for key in staged.sales))} of schema {staged.schema}"

    def can_list(self, state: State, manifest: str) -> bool:
        return manifest.endswith(f" of schema {state.schema}")

    def commit(
        self,
        state: State,
        staged: Staged,
        members: Sequence[tuple[int, str]],
        fenced: Collection[int],
        deadline: Deadline,
    ) -> CommitResult[State]:
        sales = list(staged.sales)
        text = f"commits sale {'+'.join(sorted(key.sale_id for key in sales))} as {staged.attempt_id}"
        for attempt, manifest in members:
            ids = manifest.split(" ")[0].split("+")
            sales += [key for sale_id in ids for key in self.world.sales if key.sale_id == sale_id]
            text += f", with {'+'.join(ids)} of {attempt},"
        text += f" on {state.head}" + (f", fencing {sorted(fenced)}" if fenced else "")

        def effect() -> CommitResult[State]:
            if state.schema != self.world.schema:
                return Unknown("the schema has changed")
            if not self.world.commit(
                state.head, staged.attempt_id, sales, self.written_fences(fenced), self.listed(members)
            ):
                return Unknown("409")
            current = f" of schema {state.schema}"
            self.world.of_another_schema += [attempt for attempt, text in members if not text.endswith(current)]
            return Committed(self.world.state())

        try:
            result: CommitResult[State] = self._process.request(Request(text, [effect], only, is_read=False))
        except TimedOut:
            self._clock.sleep(1)
            return Unknown("no response")
        return result

    def written_fences(self, fenced: Collection[int]) -> Collection[int]:
        """Return the attempts that the snapshot's summary fences."""
        return fenced

    def listed(self, members: Sequence[tuple[int, str]]) -> list[int]:
        """Return the attempts that the snapshot's summary lists."""
        return [attempt for attempt, _ in members]

    def merge_is_due(self, state: State) -> bool:
        """Return whether the snapshot's id is even, so that half of the leaders keep the lease for a while."""
        return state.head % 2 == 0

    def merge_manifests(self, state: State, deadline: Deadline) -> None:
        """Do nothing: to every other attempt a merge is the same as a compaction, which the world does at any time."""

    def scan(self, state: State, sales: Sequence[Sale], deadline: Deadline) -> Scan:
        def present() -> set[SaleKey]:
            found: set[SaleKey] = set()
            current: int | None = state.head if state.head != NO_SNAPSHOT else None
            while current is not None:
                found |= self.world.history[current].sales
                current = self.world.history[current].node.parent_id
            return found & {wanted.key for wanted in sales}

        return Scan(self._read("scans the table", present))

    def _read(self, text: str, effect: Callable[[], Any]) -> Any:
        try:
            return self._process.request(Request(text, [effect], only, is_read=True))
        except TimedOut:
            self._clock.sleep(1)
            raise StoreUnavailable("no response") from None
