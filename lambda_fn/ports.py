"""The ports of the use case: the protocols that its adapters implement, and the values that cross them.

Each port has one adapter in production. Tests wrap an adapter or its transport to inject faults.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypedDict, Unpack

from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import FactsDigest, Sale, SaleKey

NO_SNAPSHOT = -1
"""The pin of a table that has no snapshot yet (Iceberg's own convention for ``current-snapshot-id``)."""

FIRST_SEEN: Final = "firstSeen"
"""The message attribute that says when an event was first seen: of a dead letter, and of an event sent back from it."""


class Reason(StrEnum):
    """Why an event went to the dead-letter queue."""

    INVALID_JSON = "INVALID_JSON"
    NOT_A_SALE = "NOT_A_SALE"
    INVALID_FIELD = "INVALID_FIELD"
    CONFLICTING_DUPLICATE = "CONFLICTING_DUPLICATE"
    ITEM_TOO_LARGE = "ITEM_TOO_LARGE"


@dataclass(frozen=True)
class Rejection:
    """Why an event can't become a sale. ``detail`` names the field and the rule that it breaks, never the value."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Delivery:
    """One event as it was delivered.

    ``body`` is the original text, unchanged if the transport delivered text. ``first_seen`` is an ISO 8601 instant.
    ``event_id`` is the envelope's id, or empty if the envelope has none.
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
    """The attempt owns the sale and may land it.

    ``base`` is the pin of the sale's first attempt. ``earlier_attempts`` is empty for a first attempt. After a takeover
    it holds every attempt that may have landed the sale, or may still land it.
    """

    sale: Sale
    base: int
    earlier_attempts: tuple[int, ...] = ()


@dataclass(frozen=True)
class AlreadyCompleted:
    """The sale is COMPLETED, with these facts."""

    facts: FactsDigest


@dataclass(frozen=True)
class HeldByAnother:
    """Another attempt owns the sale, with these facts. ``lease_until`` is in epoch seconds."""

    facts: FactsDigest
    lease_until: float


@dataclass(frozen=True)
class NotClaimed:
    """The guard could not be asked before the deadline, or its item can't be read."""

    cause: str


ClaimResult = Claimed | AlreadyCompleted | HeldByAnother | NotClaimed


@dataclass(frozen=True)
class Completion:
    """A sale that has its row and its item. ``snapshot_id`` is None if only a scan or the item shows that it landed."""

    key: SaleKey
    facts: FactsDigest
    snapshot_id: int | None


class Guard(Protocol):
    """The table of claims: which attempt may land a sale, and which sales are completed."""

    def claim(
        self, sales: Sequence[Sale], attempt_id: int, pin: int, lease_seconds: float, deadline: Deadline
    ) -> Mapping[SaleKey, ClaimResult]:
        """Claim each sale for the attempt, or return why it can't be claimed. The result has an entry for every sale.

        Raises StoreUnavailable. Claims may be held then; their leases end.
        """
        ...

    def look(self, keys: Collection[SaleKey], deadline: Deadline) -> Mapping[SaleKey, ClaimResult]:
        """Return the state of the guards and change nothing. A sale without a guard is left out.

        Raises StoreUnavailable.
        """
        ...

    def complete(self, completions: Sequence[Completion], deadline: Deadline) -> Collection[SaleKey]:
        """Mark sales as COMPLETED, and return those that certainly are. Raises StoreUnavailable; some may be marked."""
        ...


# --- Iceberg table ---------------------------------------------------------------------------------------------------


class GiveUp(StrEnum):
    """Why an attempt stops, and leaves its sales to the next delivery."""

    FENCED = "fenced by another attempt"
    EARLIER_ATTEMPT_LANDED = "an earlier attempt landed after all"
    BACKFILLED = "a backfill has added rows since the sales were looked up"
    HISTORY_EXPIRED = "the table's history no longer reaches back to the pin"
    HEAD_UNREADABLE = "the table's head could not be read"
    STAGING_FAILED = "the files could not be written"
    OUT_OF_TIME = "the deadline came before the commit was certain"


@dataclass(frozen=True)
class Landed:
    """The snapshot, which landed the attempt, is the table's head or one of its ancestors.

    ``conflicts`` counts the failed commits. ``group_size`` is the number of attempts that the snapshot landed, or 0 if
    another attempt committed it.
    """

    snapshot_id: int
    conflicts: int = 0
    group_size: int = 1


@dataclass(frozen=True)
class NotKnownToHaveLanded:
    """The attempt stopped. It may have landed, or may still land; the next delivery finds out.

    ``detail`` is the error of the last request that failed, for the log, or empty.
    """

    cause: GiveUp
    conflicts: int = 0
    detail: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the cause and the detail as text."""
        return f"{self.cause.value}: {self.detail}" if self.detail else self.cause.value


AppendResult = Landed | NotKnownToHaveLanded


@dataclass(frozen=True)
class Resolution:
    """The sales that have a row at the head that was just read, and those of which this could not be found out.

    ``landed`` maps each to the snapshot that landed it, or to None if a scan found the row and the history does not
    show the snapshot. ``undecided`` maps each to the cause, for the log. It must not be committed.
    """

    landed: Mapping[SaleKey, int | None] = field(default_factory=dict)
    undecided: Mapping[SaleKey, str] = field(default_factory=dict)


class AppendAttempt(Protocol):
    """One invocation's attempt to land its sales as one snapshot. The attempt's id is the snapshot's id."""

    @property
    def attempt_id(self) -> int:
        """The id of the snapshot that this attempt commits."""
        ...

    @property
    def pin(self) -> int:
        """The table's head as it was known before the first claim, or NO_SNAPSHOT."""
        ...

    def columns_missing(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Collection[str]]:
        """Return the sales with facts that the table has no column for, and the names of those facts.

        Call it before the first claim: it may move the pin. Raises StoreUnavailable if the head can't be read.
        """
        ...

    def resolve(
        self, taken_over: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline
    ) -> Resolution | GiveUp:
        """Reload the head, and return which of the sales have landed as of it.

        A ``taken_over`` sale has not landed if the history reaches back to its base and contains none of its attempts.
        Otherwise a scan decides. ``unvouched`` are sales whose projection item may be gone; a scan always decides
        these. Raises StoreUnavailable if the table can't be read.
        """
        ...

    def stage(self, sales: Sequence[Sale]) -> None:
        """Make the files for an append of these sales in memory. Sends nothing. Raises StoreUnavailable."""
        ...

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        """Stage and upload the files for an append of these sales. No reader sees them before the commit.

        The append uploads what could not be uploaded here. Raises StoreUnavailable if the files can't be made.
        """
        ...

    def append(self, sales: Sequence[Sale], fenced: Collection[int], deadline: Deadline) -> AppendResult:
        """Commit the sales with one snapshot, whose summary names the fenced attempts.

        Raises StoreUnavailable if the files can't be made. Any other failure is part of the result.
        """
        ...


@dataclass(frozen=True)
class ManifestMerge:
    """How many manifests were to be merged into one. ``failure`` says why they were not, and is empty if they were."""

    manifests: int
    failure: str = ""


class SalesTable(Protocol):
    """The Iceberg table of sales."""

    def begin(self, attempt_id: int, deadline: Deadline) -> AppendAttempt:
        """Pin the head. Raises TableMissing, or StoreUnavailable if the head can't be read."""
        ...

    def merge_manifests(self, deadline: Deadline) -> ManifestMerge | None:
        """Merge small manifests if a merge is due and there is time. Returns None if there is none. Never raises."""
        ...


# --- projection and dead letters -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unreadable:
    """A sale has an item, but the item can't be read. ``cause`` names the item and says what to do."""

    cause: str


class Projection(Protocol):
    """The copy of every sale that is optimised for look-ups."""

    def rejects(self, sale: Sale) -> Rejection | None:
        """Return why the sale can't be stored as an item, or None if it can."""
        ...

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale | Unreadable]:
        """Return those of the sales that have an item, with strong consistency. Raises StoreUnavailable."""
        ...

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        """Store the sales, and return those that certainly are. Raises StoreUnavailable; some may be stored."""
        ...


@dataclass(frozen=True)
class DeadLetter:
    """A rejected delivery and its reason, as sent to the dead-letter queue."""

    delivery: Delivery
    rejection: Rejection


class DeadLetters(Protocol):
    """The queue that keeps rejected events."""

    def keep(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> Collection[str]:
        """Send the letters, and return the delivery ids of those that the queue has accepted."""
        ...


# --- telemetry -------------------------------------------------------------------------------------------------------


MAX_IDS_PER_LINE: Final = 1000
"""Three lists of this many ids of the greatest length take half of the 1 MB that a line in CloudWatch Logs may have."""


class LogKeys(TypedDict, total=False):
    """The keys that a log line may have: ids, counts, durations and codes, and no fact of a sale."""

    attempt_id: int
    cause: str
    conflicts: int
    count: int
    delivery_ids: Sequence[str]
    detail: str
    event_ids: Sequence[str]
    group_size: int
    milliseconds: int
    reason: str
    sale_ids: Sequence[str]
    snapshot_id: int
    takeovers: int
    unknown_fields: Sequence[str]


class Metric(StrEnum):
    """The names of the metrics."""

    BATCH_SIZE = "BatchSize"
    COLD_STARTS = "ColdStarts"
    COMMIT_CONFLICTS = "CommitConflicts"
    COMMIT_MILLISECONDS = "CommitMilliseconds"
    DUPLICATES = "Duplicates"
    DYNAMODB_THROTTLES = "DynamoDBThrottles"
    FAILED_COMMITS = "FailedCommits"
    GIVEN_BACK = "SalesGivenBack"
    GIVEN_UP = "SalesGivenUp"
    GROUP_SIZE = "GroupSize"
    METADATA_BYTES = "MetadataBytes"
    SALES_COMMITTED = "SalesCommitted"
    SALES_REJECTED = "SalesRejected"
    TAKEOVERS = "Takeovers"
    UNKNOWN_FIELDS = "UnknownFields"
    WAITING_FOR_COLUMN = "SalesWaitingForColumn"


class Telemetry(Protocol):
    """Logs and metrics of the use case."""

    def info(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log normal operation."""
        ...

    def warning(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log something that was rejected or has to be retried."""
        ...

    def measure(self, metric: Metric, value: float) -> None:
        """Add to a metric."""
        ...

    def rejected(self, reason: Reason) -> None:
        """Count a rejected event, by reason."""
        ...
