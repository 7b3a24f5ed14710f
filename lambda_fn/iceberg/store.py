"""The protocol between the judgement of a commit (:mod:`sales_table`) and an Iceberg catalog with its file storage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey


class TableState(Protocol):
    """The table's metadata in one response of the catalog."""

    @property
    def head(self) -> int:
        """The snapshot id of the head of ``main``, or NO_SNAPSHOT."""
        ...

    @property
    def snapshots(self) -> Mapping[int, SnapshotNode]:
        """The retained snapshots, by their ids."""
        ...

    @property
    def missing_facts(self) -> Collection[str]:
        """The facts of a sale that the table has no column for: names of attributes of Sale."""
        ...


State = TypeVar("State", bound=TableState)
Staged = TypeVar("Staged")
"""The files of an append: made, and uploaded no later than with the commit."""


@dataclass(frozen=True)
class Committed(Generic[State]):
    """The catalog confirmed the commit. ``state`` is the table after it."""

    state: State


@dataclass(frozen=True)
class NotSent:
    """A file could not be read or uploaded, so no commit was requested.

    ``access_denied`` says that the storage refused the credentials. The next ``load`` may bring valid ones.
    ``file_missing`` says that a file of the head is gone, because its snapshot was removed from the table. Only a new
    head can be committed on.
    """

    cause: str
    access_denied: bool = False
    file_missing: bool = False

    @property
    def needs_load(self) -> bool:
        """Whether another try on the same head would fail as well."""
        return self.access_denied or self.file_missing


@dataclass(frozen=True)
class Unknown:
    """The commit was requested and not confirmed. It may have taken effect, or may still."""

    cause: str


@dataclass(frozen=True)
class Scan:
    """The sales that have a row, and those that could not be looked up, each with the cause. The others have none."""

    present: Collection[SaleKey]
    undecided: Mapping[SaleKey, str] = field(default_factory=dict)


CommitResult = Committed[State] | NotSent | Unknown


@dataclass(frozen=True)
class MergeResult(Generic[State]):
    """How many manifests were to be merged into one, and the result of the commit."""

    manifests: int
    commit: CommitResult[State]


class TableStore(Protocol[State, Staged]):
    """An Iceberg table in a catalog. No method retries a request."""

    @property
    def load_seconds(self) -> float:
        """The longest that ``load`` can take."""
        ...

    @property
    def commit_seconds(self) -> float:
        """The time that ``commit`` needs for an append of a few files. With more it stops before the deadline."""
        ...

    def load(self, known: State | None) -> State:
        """Ask the catalog for the table. Raises TableMissing, or StoreUnavailable.

        ``known`` is the state seen last. If the head is still the same, the new state keeps what was read of it.
        """
        ...

    def stage(self, state: State, sales: Sequence[Sale], attempt_id: int) -> Staged:
        """Make the data files and the manifest of an append. Sends nothing. Raises ColumnsMissing."""
        ...

    def fits(self, state: State, staged: Staged) -> bool:
        """Return whether the files have the table's current schema and partition spec."""
        ...

    def upload(self, state: State, staged: Staged, deadline: Deadline) -> None:
        """Upload the files before their commit on the state's head. The commit uploads what fails here."""
        ...

    def share(self, state: State, staged: Staged, deadline: Deadline) -> NotSent | None:
        """Upload the files that another writer needs to land the append. Returns the failure, if any."""
        ...

    def manifest_of(self, staged: Staged) -> str:
        """Return the manifest as text, with which another writer can land the append once its files are shared."""
        ...

    def can_list(self, state: State, manifest: str) -> bool:
        """Return whether a manifest from the queue has the table's current schema and partition spec."""
        ...

    def commit(
        self,
        state: State,
        staged: Staged,
        members: Sequence[tuple[int, str]],
        fenced: Collection[int],
        deadline: Deadline,
    ) -> CommitResult[State]:
        """Upload the remaining files, then commit as a compare-and-set on the state's head. Never raises.

        ``members`` are attempts with their manifests, which the same snapshot lands. Its summary names them and the
        fenced attempts.
        """
        ...

    def scan(self, state: State, sales: Sequence[Sale], deadline: Deadline) -> Scan:
        """Find out which of the sales have a row at the state's head. Raises StoreUnavailable if none can be looked up.

        Stops while there is time for a commit and its judgement, and leaves the remaining sales undecided.
        """
        ...

    def merge_is_due(self, state: State) -> bool:
        """Return whether small manifests of the state's head should be merged."""
        ...

    def merge_manifests(self, state: State, deadline: Deadline) -> MergeResult[State] | None:
        """Merge small manifests of the state's head in a snapshot of its own. Returns None if no merge is due."""
        ...
