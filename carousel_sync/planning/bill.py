"""What a month costs: from the number of sales and their sizes to lines with quantity and price. Pure arithmetic.

The estimate assumes that every event is a new sale that is settled at its first delivery. It leaves out what depends on
more than the workload: free allowances, data transfer, queries, retries and duplicates, cold starts, old versions of
metadata.json, merges of manifests (about one commit in a hundred) and taxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final

from carousel_sync.planning.bytes_per_sale import SaleSizes
from carousel_sync.planning.group_commit import read_units_per_attempt, write_units_per_attempt
from carousel_sync.planning.prices import LOOKED_UP, REGION, Price, Prices
from lambda_fn.ports import Metric, Reason
from lambda_fn.sale import PROJECTION_YEARS

A_MILLION: Final = 1_000_000
GB: Final = 1024**3
CHUNK_BYTES: Final = 64 * 1024
"""EventBridge and SQS bill an event or a request once for each 64 KB."""
DAYS_OF_A_MONTH: Final = 30
# Amazon SQS API Reference: a request carries at most ten messages.
MESSAGES_OF_A_REQUEST: Final = 10
POLLERS: Final = 5
"""AWS Lambda Developer Guide, "Using Lambda with Amazon SQS": five pollers to begin with, long polls of 20 s."""
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
GETS_PER_COMMIT: Final = 1.0
"""An allowance: a commit of a warm process reads nothing. One after a lost race, or the first of a process, reads a few
files."""
CUSTOM_METRICS: Final = len(Metric) + len(Reason)
"""One time series for each metric, and one for each reason of a rejection."""
ALARMS: Final = 13
"""The alarms of template.yaml, each on one metric."""
MONTHS: Final = (1, PROJECTION_MONTHS)
"""The months that are billed: the first, and the one from which on the projection deletes as much as it stores."""
FIRST_ESTIMATE: Final = {"Lambda": 16.67, "DynamoDB": 0.50, "S3 Tables": 1.00, "EventBridge": 0.50}
"""The first estimate for a million events, in US dollars a month; docs/performance.md says what is wrong with it."""

Usage = tuple[str, float, str]
"""What is used, its quantity, and the name of its price."""


@dataclass(frozen=True)
class Workload:
    """A month. ``partitions_per_commit`` is the number of data files of a commit: tenants times months of sale in it.

    ``months_stored`` is how many such months are kept at the end of the one that is billed. With ``direct``, each sale
    has an invocation of its own, which is the batch, and ``sales_per_commit`` of them share a commit.
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
    direct: bool = False

    @property
    def commits(self) -> float:
        """The number of snapshots in the month."""
        return self.events / self.sales_per_commit

    @property
    def invocations(self) -> float:
        """The number of invocations in the month: one a batch, which commits by itself, or one a sale."""
        return self.events if self.direct else self.commits

    @property
    def data_files(self) -> float:
        """The number of data files in the month."""
        return self.events if self.direct else self.commits * self.partitions_per_commit


@dataclass(frozen=True)
class Line:
    """A line of the bill."""

    service: str
    what: str
    quantity: float
    price: Price

    @property
    def usd(self) -> float:
        """The amount in US dollars."""
        return self.price.of(self.quantity)

    def as_json(self) -> dict[str, Any]:
        """Return the line for a JSON document."""
        numbers = {"quantity": round(self.quantity, 6), "price": self.price.name, "usd": round(self.usd, 6)}
        return {"service": self.service, "what": self.what, **numbers}


@dataclass(frozen=True)
class Bill:
    """The lines of a month."""

    lines: Sequence[Line]

    @property
    def usd(self) -> float:
        """The sum in US dollars."""
        return sum(line.usd for line in self.lines)

    @property
    def by_service(self) -> dict[str, float]:
        """The sum of each service, in the order of the lines."""
        sums: dict[str, float] = {}
        for line in self.lines:
            sums[line.service] = sums.get(line.service, 0.0) + line.usd
        return sums

    def share(self, service: str) -> float:
        """Return a service's share of the sum, from 0 to 1."""
        return self.by_service[service] / self.usd

    def as_json(self) -> dict[str, Any]:
        """Return the bill for a JSON document."""
        by_service = {service: round(usd, 4) for service, usd in self.by_service.items()}
        return {"usd": round(self.usd, 4), "by_service": by_service, "lines": [line.as_json() for line in self.lines]}


def bill(workload: Workload, prices: Prices) -> Bill:
    """Return a month's bill."""
    lines = (
        Line(service, what, quantity, prices[price])
        for service, usage in _USAGE_OF_SERVICES.items()
        for what, quantity, price in usage(workload)
    )
    return Bill(list(lines))


def monthly_bills(workload: Workload, prices: Prices) -> list[Bill]:
    """Return the bills of :data:`MONTHS`."""
    return [bill(replace(workload, months_stored=months), prices) for months in MONTHS]


def cost_document(workload: Workload, bills: Sequence[Bill], prices: Prices) -> dict[str, Any]:
    """Return a workload with its monthly bills and their prices for a JSON document."""
    return {
        "events_per_month": workload.events,
        "region": REGION,
        "prices_looked_up": LOOKED_UP.isoformat(),
        "mode": "direct" if workload.direct else "queue",
        "sales_per_commit": workload.sales_per_commit,
        "lambda_milliseconds_per_batch": round(workload.lambda_milliseconds, 1),
        "sizes": {name: round(value, 2) for name, value in vars(workload.sizes).items()},
        "write_units_per_sale": round(workload.sizes.write_units, 3),
        "months": [{"month": month, **month_bill.as_json()} for month, month_bill in zip(MONTHS, bills, strict=True)],
        "first_estimate_usd": round(sum(first_estimate(workload.events).values()), 4),
        "prices": [price.as_json() for price in prices.values()],
    }


def first_estimate(events: float) -> Mapping[str, float]:
    """Return :data:`FIRST_ESTIMATE` scaled to a number of events a month."""
    return {service: usd * events / A_MILLION for service, usd in FIRST_ESTIMATE.items()}


def _eventbridge(workload: Workload) -> Iterator[Usage]:
    chunks = ceil(workload.sizes.event_bytes / CHUNK_BYTES)
    yield "events published", workload.events * chunks, "eventbridge_event"


def _sqs(workload: Workload) -> Iterator[Usage]:
    polls = POLLERS * POLLS_A_MINUTE * 60 * 24 * DAYS_OF_A_MONTH
    if workload.direct:
        # The function reads the queue in both modes: dead letters go back through it.
        yield "polls that find nothing", polls, "sqs_request"
        return
    events, event_bytes = workload.events, workload.sizes.event_bytes
    yield "messages sent to the queue", events * ceil(event_bytes / CHUNK_BYTES), "sqs_request"
    requests = events / MESSAGES_OF_A_REQUEST
    chunks = ceil(MESSAGES_OF_A_REQUEST * event_bytes / CHUNK_BYTES)
    yield "receives, ten messages each", requests * chunks, "sqs_request"
    yield "deletes, ten messages each", requests, "sqs_request"
    yield "polls that find nothing, at most", polls, "sqs_request"


def _lambda(workload: Workload) -> Iterator[Usage]:
    yield f"invocations, one a {'sale' if workload.direct else 'batch'}", workload.invocations, "lambda_request"
    gb_seconds = workload.invocations * workload.lambda_milliseconds / 1000 * workload.memory_mb / 1024
    yield "duration times memory", gb_seconds, "lambda_gb_second"


def _dynamodb(workload: Workload) -> Iterator[Usage]:
    events, sizes = workload.events, workload.sizes
    yield "guard: claim and completion", events * sizes.guard_units, "dynamodb_write"
    yield "projection: the item", events * sizes.item_units, "dynamodb_write"
    yield "projection: index by tenant and date", events * sizes.gsi1_units, "dynamodb_write"
    yield "projection: index by embedding shard", events * sizes.gsi2_units, "dynamodb_write"
    # A strongly consistent read of an item that does not exist is billed as one of up to 4 KB.
    yield "look-ups before the commit", events, "dynamodb_read"
    if workload.direct and workload.sales_per_commit > 1:
        group = workload.sales_per_commit
        yield "commit queue: entries and lease", events * write_units_per_attempt(group), "dynamodb_write"
        yield "commit queue: looks and reads", events * read_units_per_attempt(group), "dynamodb_read"
    stored = events * min(workload.months_stored, PROJECTION_MONTHS)
    item_bytes, *index_bytes = (
        size + STORED_OVERHEAD_BYTES if size else 0.0 for size in (sizes.item_bytes, sizes.gsi1_bytes, sizes.gsi2_bytes)
    )
    yield "storage: items", stored * item_bytes / GB, "dynamodb_storage"
    yield "storage: indexes", stored * sum(index_bytes) / GB, "dynamodb_storage"
    claims = events / DAYS_OF_A_MONTH * GUARD_DAYS * (sizes.guard_bytes + STORED_OVERHEAD_BYTES)
    yield "storage: guard", claims / GB, "dynamodb_storage"
    # Developer Guide, "Point-in-time recovery": by the size of the table, without its global indexes.
    yield "point-in-time recovery", stored * item_bytes / GB, "dynamodb_pitr"


def _s3_tables(workload: Workload) -> Iterator[Usage]:
    commits, files = workload.commits, workload.data_files
    # A manifest for each invocation; a manifest list and the commit itself, for which the service writes metadata.json.
    metadata_files = workload.invocations + 2 * commits
    yield "uploads and commits", files + metadata_files, "s3_tables_put"
    yield "reads, an allowance of one a commit", commits * GETS_PER_COMMIT, "s3_tables_get"
    month_bytes = workload.events * workload.sizes.row_bytes
    yield "compaction, by file", files, "s3_tables_compacted_object"
    yield "compaction, by GB", month_bytes / GB, "s3_tables_compacted_gb"
    # Files that compaction has replaced stay until their snapshots have expired and the files are removed.
    lingering = min(1.0, (workload.snapshot_retention_hours / 24 + REMOVAL_DAYS) / DAYS_OF_A_MONTH)
    yield "storage", month_bytes * (workload.months_stored + lingering) / GB, "s3_tables_storage"
    compacted = max(workload.partitions_per_commit, month_bytes / COMPACTED_FILE_BYTES) * workload.months_stored
    objects = compacted + (files + metadata_files) * lingering
    yield "objects monitored", objects, "s3_tables_monitoring"


def _cloudwatch(workload: Workload) -> Iterator[Usage]:
    logged = workload.invocations * workload.log_bytes_per_batch / GB
    yield "logs taken in", logged, "logs_ingested"
    yield "logs kept", logged * workload.log_retention_days / DAYS_OF_A_MONTH, "logs_storage"
    yield "custom metrics", CUSTOM_METRICS, "metric"
    yield "alarms", ALARMS, "alarm"


_USAGE_OF_SERVICES: Final = {
    "EventBridge": _eventbridge,
    "SQS": _sqs,
    "Lambda": _lambda,
    "DynamoDB": _dynamodb,
    "S3 Tables": _s3_tables,
    "CloudWatch": _cloudwatch,
}
