"""Reads the table, the projection and the guard of a stage, and reports whether they agree, sale by sale."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from boto3.dynamodb.conditions import Attr
from pyiceberg.exceptions import ValidationError

from carousel_sync.aws.conditions import condition_parameters
from carousel_sync.aws.target import Target
from carousel_sync.consistency import compare
from carousel_sync.consistency.compare import Report, StoredClaim, StoredSale, name_of
from carousel_sync.consistency.table_rows import files_of, read_rows
from lambda_fn.aws.batch_requests import Item
from lambda_fn.errors import ConfigurationError, StoreUnavailable
from lambda_fn.sale import EVENT_TYPE

Stored = TypeVar("Stored", StoredSale, StoredClaim)
Show = Callable[[str], None]
"""Receives a text for people."""
# The guard may also hold claims on events of other types.
_CLAIMS: Final = condition_parameters("FilterExpression", Attr("eventType").eq({"S": EVENT_TYPE}))


def verify_target(
    target: Target,
    only: Collection[str] | None = None,
    *,
    progress: Show = lambda _: None,
    warn: Show = lambda _: None,
) -> Report:
    """Read the three stores and compare them. Changes nothing.

    ``only`` restricts the comparison to these sales (by :func:`name_of`). ``progress`` receives what is being read, and
    ``warn`` why the report may be out of date. Raises TableMissing, ConfigurationError and StoreUnavailable.
    """

    def show_files(done: int, total: int) -> None:
        progress(f"Reading the Iceberg table: {done:,} of {total:,} files")

    with readable_file_errors():
        table = target.load_table()
        rows = (compare.sale_of_row(row.sale, row.derived_correctly) for row in read_rows(table, show_files))
        items = map(compare.sale_of_item, _scan(target, progress, "the projection", target.settings.projection_table))
        guard = _scan(target, progress, "the guard", target.settings.guard_table, **_CLAIMS)
        claims = map(compare.claim_of_item, guard)
        report = compare.compare(_only(rows, only), _only(items, only), _only(claims, only), time.time())
        newer = target.load_table()
        table_changed = newer.metadata_location != table.metadata_location
        if table_changed and report.missing_rows:
            landed = (name_of(row.sale.key) for row in read_rows(newer, show_files, files_of(table)))
            report = report.with_landed(landed)
    if table_changed and not report.consistent:
        warn(
            "The table changed while it was being read, because sales are being processed. Wait until the queue is "
            "empty, and verify again."
        )
    return report


@contextmanager
def readable_file_errors() -> Iterator[None]:
    """Turn the failure to read a data file into a StoreUnavailable that says what to do."""
    try:
        yield
    except (OSError, ValidationError) as error:
        raise StoreUnavailable(
            f"A file of the Iceberg table can't be read: {error}. No row was changed. Run the command again: "
            "compaction may have replaced the file meanwhile. If it fails again, look for the file in the table bucket."
        ) from error


def _only(stored: Iterator[Stored], names: Collection[str] | None) -> Iterator[Stored]:
    return stored if names is None else (entry for entry in stored if name_of(entry.key) in names)


def _scan(target: Target, progress: Show, store: str, table: str, **parameters: Any) -> Iterator[Item]:
    client = target.client("dynamodb")
    count = 0
    try:
        for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True, **parameters):
            progress(f"Reading {store}: {count:,} items")
            yield from page["Items"]
            count += len(page["Items"])
    except client.exceptions.ResourceNotFoundException as error:
        raise ConfigurationError(
            f"DynamoDB table {table} does not exist at {target}, although the function is configured "
            "to use it. Nothing was changed. Deploy the stack again to create the table, and restore its items from a "
            "backup."
        ) from error
