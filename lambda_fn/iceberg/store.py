"""What the judgement of a commit needs from an Iceberg catalog and its storage: four requests, and their answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey


class TableState(Protocol):
    """The table as one answer of the catalog showed it."""

    @property
    def head(self) -> int:
        """Snapshot id of the head of ``main``, or NO_SNAPSHOT."""
        ...

    @property
    def snapshots(self) -> Mapping[int, SnapshotNode]:
        """Every retained snapshot."""
        ...

    @property
    def lacks(self) -> Collection[str]:
        """The facts of a sale that the table has no column for, by their names in Sale."""
        ...


class StagedAppend(Protocol):
    """Files of an append that are made, and uploaded at the latest with its commit."""

    def fits(self, state: TableState) -> bool:
        """Whether the files still have the table's current schema and partition spec."""
        ...


@dataclass(frozen=True)
class Committed:
    """The catalog said so: the snapshot is the head."""

    state: TableState


@dataclass(frozen=True)
class NotSent:
    """No commit request was sent: a file could not be written."""

    cause: str


@dataclass(frozen=True)
class Unknown:
    """Any answer but success, or none: the commit may have taken effect, or may yet."""

    cause: str


CommitAnswer = Committed | NotSent | Unknown


@dataclass(frozen=True)
class Merging:
    """How merging so many manifests into one ended."""

    manifests: int
    answer: CommitAnswer


class TableStore(Protocol):
    """An Iceberg table behind a catalog. One request each, none of which is repeated by itself."""

    @property
    def load_seconds(self) -> float:
        """The longest that ``load`` can take."""
        ...

    @property
    def commit_seconds(self) -> float:
        """What ``commit`` needs at the least to be sure of its end; with many files it stops earlier of itself."""
        ...

    def load(self) -> TableState:
        """Ask the catalog for the table. Raises TableMissing, or StoreUnavailable."""
        ...

    def stage(self, state: TableState, sales: Sequence[Sale], attempt_id: int) -> StagedAppend:
        """Make the data files and the manifest of one append. Sends nothing. Raises ColumnsMissing."""
        ...

    def upload(self, state: TableState, staged: StagedAppend, deadline: Deadline) -> None:
        """Upload what is staged, ahead of a commit on the state's head. What fails is left to the commit."""
        ...

    def commit(
        self, state: TableState, staged: StagedAppend, fenced: Collection[int], deadline: Deadline
    ) -> CommitAnswer:
        """Upload what is staged, then commit it as a compare-and-set on the state's head. A failure is an answer."""
        ...

    def scan(self, state: TableState, sales: Sequence[Sale]) -> Collection[SaleKey]:
        """Read which of the sales have a row at the state's head. Raises StoreUnavailable."""
        ...

    def merge_manifests(self, state: TableState, deadline: Deadline) -> Merging | None:
        """Merge small manifests of the state's head into one, in a snapshot of its own. None when it is not due."""
        ...
