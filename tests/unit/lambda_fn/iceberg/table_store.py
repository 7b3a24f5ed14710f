"""A table store that does what its test says, and states of its table."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lambda_fn.errors import StoreUnavailable
from lambda_fn.iceberg.group_commit.commit_queue import CommitQueue
from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.iceberg.store import CommitResult, MergeResult, NotSent, Scan, Unknown
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale
from tests.builders import sale
from tests.fakes.clock import FakeClock

ATTEMPT = 1000
ANOTHER = 2000
LOST = Unknown("no response")
REQUEST_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.01
"""Between two tries, in seconds."""


@dataclass(frozen=True)
class State:
    """The table in one response of the catalog. A change of its schema is a new number."""

    head: int
    snapshots: Mapping[int, SnapshotNode]
    missing_facts: Collection[str] = ()
    schema: int = 0


def table(*snapshots: SnapshotNode | int, expired: Collection[int] = (), **changes: object) -> State:
    """Return a table with these snapshots, oldest first, of which some have expired."""
    nodes: dict[int, SnapshotNode] = {}
    parent: int | None = None
    for number, snapshot in enumerate(snapshots, 1):
        node = snapshot if isinstance(snapshot, SnapshotNode) else SnapshotNode(snapshot, None, 0)
        nodes[node.snapshot_id] = SnapshotNode(node.snapshot_id, parent, number, node.fenced, node.landed)
        parent = node.snapshot_id
    assert parent is not None
    retained = {snapshot_id: node for snapshot_id, node in nodes.items() if snapshot_id not in expired}
    return State(parent, retained, **changes)  # type: ignore[arg-type]


def fencing(snapshot_id: int, *fenced: int) -> SnapshotNode:
    return SnapshotNode(snapshot_id, None, 0, frozenset(fenced))


def landing(snapshot_id: int, *landed: int) -> SnapshotNode:
    """Return the snapshot of a leader that landed these attempts besides its own."""
    return SnapshotNode(snapshot_id, None, 0, landed=frozenset(landed))


FIRST, SECOND = table(1), table(1, 2)


@dataclass(frozen=True)
class Staged:
    """The files of an append, and the schema that they have."""

    sale_ids: str
    schema: int


@dataclass
class Store:
    """Gives these results in turn, and the last state again and again; records what it was asked.

    ``staged_by`` are the attempts that files were made for. A request after its deadline is an error.
    """

    states: list[State | StoreUnavailable]
    commits: list[CommitResult[State]] = field(default_factory=list)
    merge: MergeResult[State] | None = None
    rows: Collection[str] = ()
    unreadable: Collection[str] = ()
    calls: list[str] = field(default_factory=list)
    fenced: list[Collection[int]] = field(default_factory=list)
    staged_by: list[int] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    not_shared: NotSent | None = None
    fails: Exception | None = None
    load_takes: float = 0.0
    load_seconds: float = REQUEST_SECONDS
    commit_seconds: float = 3 * REQUEST_SECONDS

    def load(self, known: State | None) -> State:
        self.calls.append(f"load, knowing {known.head if known else None}")
        self.clock.advance(self.load_takes)
        result = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(result, StoreUnavailable):
            raise result
        return result

    def stage(self, state: State, sales: Sequence[Sale], attempt_id: int) -> Staged:
        self.calls.append(f"stage {ids_of(sales)} on {state.head}")
        self.staged_by.append(attempt_id)
        return Staged(ids_of(sales), state.schema)

    def fits(self, state: State, staged: Staged) -> bool:
        return state.schema == staged.schema

    def upload(self, state: State, staged: Staged, deadline: Deadline) -> None:
        assert deadline.allows(0.0)
        self.calls.append(f"upload {staged.sale_ids} on {state.head}")

    def share(self, state: State, staged: Staged, deadline: Deadline) -> NotSent | None:
        assert deadline.allows(0.0)
        self.calls.append(f"share {staged.sale_ids} on {state.head}")
        return self.not_shared

    def manifest_of(self, staged: Staged) -> str:
        return f"{staged.sale_ids} {staged.schema}"

    def can_list(self, state: State, manifest: str) -> bool:
        return manifest.rpartition(" ")[2] == str(state.schema)

    def commit(
        self,
        state: State,
        staged: Staged,
        members: Sequence[tuple[int, str]],
        fenced: Collection[int],
        deadline: Deadline,
    ) -> CommitResult[State]:
        assert deadline.allows(0.0)
        assert state.schema == staged.schema
        beside = "".join(f" with {attempt}" for attempt, _ in members)
        self.calls.append(f"commit {staged.sale_ids}{beside} on {state.head}")
        self.fenced.append(fenced)
        self.clock.advance(REQUEST_SECONDS)
        return self.commits.pop(0) if len(self.commits) > 1 else self.commits[0]

    def scan(self, state: State, sales: Sequence[Sale], deadline: Deadline) -> Scan:
        assert deadline.allows(0.0)
        self.calls.append(f"scan {ids_of(sales)} on {state.head}")
        undecided = {each.key: "unreadable" for each in sales if each.sale_id in self.unreadable}
        return Scan({each.key for each in sales if each.sale_id in self.rows}, undecided)

    def merge_is_due(self, state: State) -> bool:
        return self.merge is not None and state.head != NO_SNAPSHOT

    def merge_manifests(self, state: State, deadline: Deadline) -> MergeResult[State] | None:
        assert deadline.allows(0.0)
        self.calls.append(f"merge on {state.head}")
        if self.fails is not None:
            raise self.fails
        return self.merge

    @property
    def retry(self) -> Retry:
        return Retry(self.clock, random.Random(1), FIRST_PAUSE, LONGEST_PAUSE)

    def table(
        self, queue: CommitQueue | None = None, *, always_in_groups: bool = False
    ) -> IcebergSalesTable[State, Staged]:
        return IcebergSalesTable(
            self,
            self.retry,
            queue,
            always_in_groups=always_in_groups,
            report_queue_failure=lambda cause: self.calls.append(f"report: {cause}"),
        )

    def soon(self, seconds: float = 60.0) -> Deadline:
        return Deadline.after(self.clock, seconds)


def ids_of(sales: Sequence[Sale]) -> str:
    return " ".join(each.sale_id for each in sales)


def a_sale(sale_id: str = "a") -> Sale:
    return sale(sale_id=sale_id)
