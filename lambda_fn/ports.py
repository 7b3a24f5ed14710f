"""What the use case needs from the outside, and the words it shares with it.

Each port has one adapter that runs in production; tests wrap an adapter or its transport to inject faults.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypedDict, Unpack

from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey

NO_SNAPSHOT = -1
"""The pin of a table that has no snapshot yet (Iceberg's own convention for ``current-snapshot-id``)."""


class Reason(StrEnum):
    """Why an event went to the dead-letter queue."""

    INVALID_JSON = "INVALID_JSON"
    NOT_A_SALE = "NOT_A_SALE"
    INVALID_FIELD = "INVALID_FIELD"
    CONFLICTING_DUPLICATE = "CONFLICTING_DUPLICATE"
    ITEM_TOO_LARGE = "ITEM_TOO_LARGE"


@dataclass(frozen=True)
class Rejection:
    """Why an event can't become a sale: a reason code, and the field and rule at fault, never the value."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Delivery:
    """One event as it was delivered.

    ``body`` is the original, byte for byte where the transport gives bytes. ``first_seen`` is an ISO 8601 instant.
    ``event_id`` is the envelope's, when it has one.
    """

    delivery_id: str
    body: str
    first_seen: str
    content: Sale | Rejection
    unknown_fields: tuple[str, ...] = ()
    event_id: str = ""


# --- guard -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claimed:
    """The sale is this attempt's to land.

    ``base`` is the pin of the sale's first attempt. ``earlier_attempts`` is empty for a first attempt; after a
    take-over it holds every attempt that may have landed the sale already, or may still try.
    """

    sale: Sale
    base: int
    earlier_attempts: tuple[int, ...] = ()


@dataclass(frozen=True)
class AlreadyCompleted:
    """The sale is COMPLETED. ``payload_hash`` is that of the facts that were completed."""

    payload_hash: str


@dataclass(frozen=True)
class HeldByAnother:
    """Another attempt works on the sale; ``payload_hash`` is that of the facts that it carries."""

    payload_hash: str
    lease_until: float


@dataclass(frozen=True)
class NotClaimed:
    """The guard could not be asked, or could not decide, before the deadline."""

    cause: str


ClaimResult = Claimed | AlreadyCompleted | HeldByAnother | NotClaimed


@dataclass(frozen=True)
class Completion:
    """A sale that has its row and its item; ``snapshot_id`` is None when only the scan or the item told so."""

    key: SaleKey
    payload_hash: str
    snapshot_id: int | None


class Guard(Protocol):
    """The table of claims: who may land a sale, and which sales are done."""

    def claim(
        self, sales: Sequence[Sale], attempt_id: int, pin: int, lease_seconds: float, deadline: Deadline
    ) -> Mapping[SaleKey, ClaimResult]:
        """Claim each sale for the attempt, or tell why not. Every sale has an entry in the answer."""
        ...

    def look(self, keys: Collection[SaleKey], deadline: Deadline) -> Mapping[SaleKey, ClaimResult]:
        """Tell how the sales stand, and touch nothing. A sale without an item is left out of the answer."""
        ...

    def complete(self, completions: Sequence[Completion], deadline: Deadline) -> Collection[SaleKey]:
        """Mark sales as COMPLETED and return those for which that is certain."""
        ...


# --- Iceberg table ---------------------------------------------------------------------------------------------------


class GiveUp(StrEnum):
    """Why an attempt stops trying, and leaves its sales to the next delivery."""

    FENCED = "fenced by another attempt"
    EARLIER_ATTEMPT_LANDED = "an earlier attempt landed after all"
    HISTORY_EXPIRED = "the table's history no longer reaches back to the pin"
    HEAD_UNREADABLE = "the table's head could not be read"
    STAGING_FAILED = "the files could not be written"
    OUT_OF_TIME = "the deadline came before the commit was certain"


@dataclass(frozen=True)
class Landed:
    """The attempt's snapshot is an ancestor of the table's head, or the head itself."""

    snapshot_id: int
    conflicts: int = 0


@dataclass(frozen=True)
class NotKnownToHaveLanded:
    """The attempt stopped. It may have landed, or may land yet: the next delivery finds out."""

    cause: GiveUp
    conflicts: int = 0


AppendResult = Landed | NotKnownToHaveLanded


@dataclass(frozen=True)
class Resolution:
    """How taken-over sales stand at the head that was just read: landed in which attempt (None: the scan found it)."""

    landed: Mapping[SaleKey, int | None] = field(default_factory=dict)


class AppendAttempt(Protocol):
    """One invocation's try at landing its sales as one snapshot. Its id is the snapshot's id."""

    @property
    def attempt_id(self) -> int:
        """The snapshot id that this attempt commits."""
        ...

    @property
    def pin(self) -> int:
        """The table's head as it was known before the first claim, or NO_SNAPSHOT."""
        ...

    def columns_missing(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Collection[str]]:
        """Return the sales with a fact that the table has no column for yet, and the names of those facts.

        To be asked before the first claim. Raises StoreUnavailable when the head can't be read.
        """
        ...

    def resolve(
        self, taken_over: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline
    ) -> Resolution | GiveUp:
        """Reload the head, and judge which of the sales have landed as of it.

        A ``taken_over`` sale has not landed when the history reaches its base and shows none of its attempts; else a
        scan decides. ``unvouched`` sales, which no projection item could vouch for, are always decided by a scan.
        """
        ...

    def stage(self, sales: Sequence[Sale]) -> None:
        """Make the files of an append of these sales. Sends nothing. Raises StoreUnavailable when they can't be."""
        ...

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        """Do all of an append of these sales but its commit. Changes nothing that anybody can see.

        What can't be uploaded is left to the append. Raises StoreUnavailable when the files can't be made.
        """
        ...

    def append(self, sales: Sequence[Sale], fenced: Collection[int], deadline: Deadline) -> AppendResult:
        """Commit the sales as one snapshot that names the fenced attempts in its summary."""
        ...


@dataclass(frozen=True)
class ManifestMerge:
    """So many manifests were merged into one, or were not: then the failure says why, and they are as they were."""

    manifests: int
    failure: str = ""


class SalesTable(Protocol):
    """The Iceberg table of sales."""

    def begin(self, attempt_id: int, deadline: Deadline) -> AppendAttempt:
        """Pin the head. Raises TableMissing, or StoreUnavailable when the head can't be read."""
        ...

    def merge_manifests(self, deadline: Deadline) -> ManifestMerge | None:
        """Merge small manifests after a commit, when it is its turn and time is left. Never raises."""
        ...


# --- projection and dead letters -------------------------------------------------------------------------------------


class Projection(Protocol):
    """The look-up copy of every sale."""

    def rejects(self, sale: Sale) -> Rejection | None:
        """Tell whether the sale's item would be too large to store."""
        ...

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale]:
        """Return the stored sales among those given, with strong consistency. Raises StoreUnavailable."""
        ...

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        """Store the sales, and return those for which that is certain."""
        ...


@dataclass(frozen=True)
class DeadLetter:
    """A rejected delivery, on its way to the dead-letter queue."""

    delivery: Delivery
    rejection: Rejection


class DeadLetters(Protocol):
    """Where rejected events are kept."""

    def keep(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> Collection[str]:
        """Send the letters, and return the delivery ids of those that the queue has."""
        ...


# --- telemetry -------------------------------------------------------------------------------------------------------


class LogKeys(TypedDict, total=False):
    """Everything that a log line may carry: ids, counts, durations and codes. No fact of a sale is among them."""

    attempt_id: int
    cause: str
    conflicts: int
    count: int
    delivery_ids: Sequence[str]
    detail: str
    event_ids: Sequence[str]
    milliseconds: int
    reason: str
    sale_ids: Sequence[str]
    snapshot_id: int
    takeovers: int
    unknown_fields: Sequence[str]


class Metric(StrEnum):
    """Everything that is counted or measured."""

    BATCH_SIZE = "BatchSize"
    COLD_STARTS = "ColdStarts"
    COMMIT_CONFLICTS = "CommitConflicts"
    COMMIT_MILLISECONDS = "CommitMilliseconds"
    DUPLICATES = "Duplicates"
    DYNAMODB_THROTTLES = "DynamoDBThrottles"
    FAILED_COMMITS = "FailedCommits"
    GIVEN_BACK = "SalesGivenBack"
    METADATA_BYTES = "MetadataBytes"
    SALES_COMMITTED = "SalesCommitted"
    SALES_REJECTED = "SalesRejected"
    TAKEOVERS = "Takeovers"
    UNKNOWN_FIELDS = "UnknownFields"
    WAITING_FOR_COLUMN = "SalesWaitingForColumn"


class Telemetry(Protocol):
    """Where the use case tells what it does."""

    def info(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log something that is as it should be."""
        ...

    def warning(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log something that was refused or has to be done again."""
        ...

    def measure(self, metric: Metric, value: float) -> None:
        """Add to a metric."""
        ...

    def rejected(self, reason: Reason) -> None:
        """Count a rejected event under its reason."""
        ...
