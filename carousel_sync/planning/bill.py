"""What a month costs: from the number of sales and their sizes to lines with quantity and price. Pure arithmetic.

Every event is taken for a new sale that is settled at its first delivery. Left out, because they depend on more than
this: free allowances, data transfer, queries, retries and duplicates, cold starts, old versions of metadata.json,
merges of manifests (about one commit in a hundred), taxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from carousel_sync.planning.bytes_per_sale import SaleSizes
from carousel_sync.planning.prices import Price, Prices
from lambda_fn.ports import Metric, Reason
from lambda_fn.sale import PROJECTION_YEARS

GB: Final = 1024**3
CHUNK_BYTES: Final = 64 * 1024
"""Of EventBridge and SQS: an event or a request is billed for each 64 KB."""
DAYS_OF_A_MONTH: Final = 30
# Amazon SQS API Reference: a request carries at most ten messages.
MESSAGES_OF_A_REQUEST: Final = 10
# AWS Lambda Developer Guide, "Using Lambda with Amazon SQS": five pollers to begin with, long polls of 20 s.
POLLERS: Final = 5
POLLS_A_MINUTE: Final = 3
# "Item sizes" and the pricing page: each item, and each entry of an index, is stored with 100 bytes on top.
STORED_OVERHEAD_BYTES: Final = 100
PROJECTION_MONTHS: Final = 12 * PROJECTION_YEARS
# COMPLETED claims live for a day; DynamoDB deletes expired items within a few days ("Time to Live").
GUARD_DAYS: Final = 3
# template.yaml, UnreferencedFileRemoval: 3 days until a file counts as unreferenced, 10 more until it is deleted.
REMOVAL_DAYS: Final = 13
# Amazon S3 User Guide, "Maintenance for tables": the default target of compaction.
COMPACTED_FILE_BYTES: Final = 512 * 1024**2
# A manifest and a manifest list; the service writes metadata.json at the commit.
METADATA_PUTS: Final = 2
GETS_PER_COMMIT: Final = 1.0
"""An allowance: a warm commit reads nothing, one after a lost race, or the first of a process, a few times."""
CUSTOM_METRICS: Final = len(Metric) + len(Reason)
"""One time series for each metric, and one for each reason of a rejection."""
ALARMS: Final = 11
"""Of template.yaml, each on one metric."""


@dataclass(frozen=True)
class Workload:
    """A month. ``partitions_per_commit`` is the number of data files of a commit: tenants times months of sale in it.

    ``months_stored`` is how many such months are kept at the end of the one that is billed.
    """

    events: float
    sizes: SaleSizes
    sales_per_commit: float
    lambda_milliseconds: float
    memory_mb: int
    log_bytes_per_batch: float
    partitions_per_commit: float = 3
    snapshot_retention_hours: float = 6
    log_retention_days: float = 30
    months_stored: int = 1

    @property
    def commits(self) -> float:
        """Snapshots in the month, one for each batch."""
        return self.events / self.sales_per_commit


@dataclass(frozen=True)
class Line:
    """A line of the bill; ``usd`` is ``price`` times ``quantity``."""

    service: str
    what: str
    quantity: float
    price: Price
    usd: float


@dataclass(frozen=True)
class Bill:
    """A month's lines."""

    lines: Sequence[Line]

    @property
    def usd(self) -> float:
        """The sum."""
        return sum(line.usd for line in self.lines)

    @property
    def by_service(self) -> dict[str, float]:
        """The sums of the services, in the order of the lines."""
        sums: dict[str, float] = {}
        for line in self.lines:
            sums[line.service] = sums.get(line.service, 0.0) + line.usd
        return sums

    def share(self, service: str) -> float:
        """Return a service's part of the whole, from 0 to 1."""
        return self.by_service[service] / self.usd

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "usd": round(self.usd, 4),
            "by_service": {service: round(usd, 4) for service, usd in self.by_service.items()},
            "lines": [
                {
                    "service": line.service,
                    "what": line.what,
                    "quantity": round(line.quantity, 6),
                    "price": line.price.name,
                    "usd": round(line.usd, 6),
                }
                for line in self.lines
            ],
        }


def bill(workload: Workload, prices: Prices) -> Bill:
    """Return the lines of a month's bill."""
    lines = _Lines(prices)
    _delivery(workload, lines)
    _lambda(workload, lines)
    _dynamodb(workload, lines)
    _s3_tables(workload, lines)
    _cloudwatch(workload, lines)
    return Bill(lines.lines)


class _Lines:
    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self.lines: list[Line] = []

    def add(self, service: str, what: str, quantity: float, price: str) -> None:
        named = self._prices[price]
        self.lines.append(Line(service, what, quantity, named, named.of(quantity)))


def _delivery(workload: Workload, lines: _Lines) -> None:
    events, event_bytes = workload.events, workload.sizes.event_bytes
    chunks = ceil(event_bytes / CHUNK_BYTES)
    lines.add("EventBridge", "events published", events * chunks, "eventbridge_event")
    lines.add("SQS", "messages sent to the queue", events * chunks, "sqs_request")
    receives = ceil(MESSAGES_OF_A_REQUEST * event_bytes / CHUNK_BYTES)
    requests = events / MESSAGES_OF_A_REQUEST
    lines.add("SQS", "receives, ten messages each", requests * receives, "sqs_request")
    lines.add("SQS", "deletes, ten messages each", requests, "sqs_request")
    polls = POLLERS * POLLS_A_MINUTE * 60 * 24 * DAYS_OF_A_MONTH
    lines.add("SQS", "polls that find nothing, at most", polls, "sqs_request")


def _lambda(workload: Workload, lines: _Lines) -> None:
    lines.add("Lambda", "invocations, one a batch", workload.commits, "lambda_request")
    gb_seconds = workload.commits * workload.lambda_milliseconds / 1000 * workload.memory_mb / 1024
    lines.add("Lambda", "duration times memory", gb_seconds, "lambda_gb_second")


def _dynamodb(workload: Workload, lines: _Lines) -> None:
    events, sizes = workload.events, workload.sizes
    guard_units = sizes.claim_units + sizes.completion_units
    lines.add("DynamoDB", "guard: claim and completion", events * guard_units, "dynamodb_write")
    lines.add("DynamoDB", "projection: the item", events * sizes.item_units, "dynamodb_write")
    lines.add("DynamoDB", "projection: index by tenant and date", events * sizes.gsi1_units, "dynamodb_write")
    lines.add("DynamoDB", "projection: index by embedding shard", events * sizes.gsi2_units, "dynamodb_write")
    # A strongly consistent read of an item that is not there is billed as one of up to 4 KB.
    lines.add("DynamoDB", "look-ups before the commit", events, "dynamodb_read")
    kept = events * min(workload.months_stored, PROJECTION_MONTHS)
    item_bytes, *index_bytes = (
        size + STORED_OVERHEAD_BYTES if size else 0.0 for size in (sizes.item_bytes, sizes.gsi1_bytes, sizes.gsi2_bytes)
    )
    lines.add("DynamoDB", "storage: items", kept * item_bytes / GB, "dynamodb_storage")
    lines.add("DynamoDB", "storage: indexes", kept * sum(index_bytes) / GB, "dynamodb_storage")
    claims = events / DAYS_OF_A_MONTH * GUARD_DAYS * (sizes.guard_bytes + STORED_OVERHEAD_BYTES)
    lines.add("DynamoDB", "storage: guard", claims / GB, "dynamodb_storage")
    # Developer Guide, "Point-in-time recovery": by the size of the table, without its global indexes.
    lines.add("DynamoDB", "point-in-time recovery", kept * item_bytes / GB, "dynamodb_pitr")


def _s3_tables(workload: Workload, lines: _Lines) -> None:
    commits, files = workload.commits, workload.commits * workload.partitions_per_commit
    puts = files + commits * METADATA_PUTS + commits
    lines.add("S3 Tables", "uploads and commits", puts, "s3_tables_put")
    lines.add("S3 Tables", "reads, an allowance of one a commit", commits * GETS_PER_COMMIT, "s3_tables_get")
    month_bytes = workload.events * workload.sizes.row_bytes
    lines.add("S3 Tables", "compaction, by file", files, "s3_tables_compacted_object")
    lines.add("S3 Tables", "compaction, by GB", month_bytes / GB, "s3_tables_compacted_gb")
    # What compaction has replaced stays until its snapshots have expired and the files are removed.
    lingering = min(1.0, (workload.snapshot_retention_hours / 24 + REMOVAL_DAYS) / DAYS_OF_A_MONTH)
    stored = month_bytes * (workload.months_stored + lingering)
    lines.add("S3 Tables", "storage", stored / GB, "s3_tables_storage")
    compacted = max(workload.partitions_per_commit, month_bytes / COMPACTED_FILE_BYTES) * workload.months_stored
    objects = compacted + (files + commits * (METADATA_PUTS + 1)) * lingering
    lines.add("S3 Tables", "objects monitored", objects, "s3_tables_monitoring")


def _cloudwatch(workload: Workload, lines: _Lines) -> None:
    logged = workload.commits * workload.log_bytes_per_batch / GB
    lines.add("CloudWatch", "logs taken in", logged, "logs_ingested")
    lines.add("CloudWatch", "logs kept", logged * workload.log_retention_days / DAYS_OF_A_MONTH, "logs_storage")
    lines.add("CloudWatch", "custom metrics", CUSTOM_METRICS, "metric")
    lines.add("CloudWatch", "alarms", ALARMS, "alarm")
