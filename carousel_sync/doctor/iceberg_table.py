"""Checks of the Iceberg table: bucket, namespace, schema, maintenance, metadata size and last commit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from carousel_sync.doctor.finding import DEPLOY_AGAIN, Check, Fault, Finding, Status, finding_of, ok
from carousel_sync.doctor.stage import Inconclusive, Stage
from catalog_config.config import CatalogKind
from catalog_config.drift import describe, find_drift
from catalog_config.maintenance import COMPACTION, DEFAULT_SNAPSHOT_SETTINGS, SNAPSHOT_MANAGEMENT
from schemas.evolution.apply import plan
from schemas.evolution.errors import MigrationError, OperationRefused
from schemas.evolution.migration import load_migrations, position_of
from schemas.evolution.table_definition import definition_of
from schemas.evolution.table_operations import SNAPSHOT_EXPIRY_PREFIX

APPLY: Final = "carousel-sync evolve apply {options}"
CREATE: Final = f"Create it: {APPLY}"
UPDATE: Final = f"Bring it up to date: {APPLY}"
REPAIR: Final = (
    "Something else created or altered the table. Do not drop it: set ICEBERG_TABLE to another name, or repair it."
)
# S3 Tables rejects metadata above 50 MB. Every commit transfers all of it, so commits are slow long before.
METADATA_WARNING_BYTES: Final = 20_000_000
METADATA_FAILURE_BYTES: Final = 40_000_000
QUIET: Final = timedelta(hours=24)


def bucket(stage: Stage) -> Finding:
    """Check that the table bucket exists and is the one that the function writes to."""
    _require_s3_tables(stage)
    warehouse = stage.settings.catalog.warehouse
    if warehouse != stage.bucket_arn:
        return Finding(
            Status.FAILURE, f"the function writes to {warehouse} instead of {stage.bucket_arn}", DEPLOY_AGAIN
        )
    return ok(f"table bucket {stage.table_bucket}")


def namespace(stage: Stage) -> Finding:
    """Check that the namespace exists."""
    _require_s3_tables(stage)
    name = stage.settings.namespace
    stage.client("s3tables").get_namespace(tableBucketARN=stage.bucket_arn, namespace=name)
    return ok(f"namespace {name}")


def schema(stage: Stage) -> Finding:
    """Check that the table is at the code's version, or ahead of it, and that this code can write to it."""
    table, code_version = stage.table, len(load_migrations())
    try:
        version = position_of(definition_of(table.metadata)).version
    except MigrationError as error:
        return Finding(Status.FAILURE, str(error), f"Then bring it up to date: {APPLY}")

    def faults() -> Iterator[Fault]:
        if version > code_version:
            return  # A later version of this project changed it. Columns that this code does not know are null.
        if version < code_version:
            pending = _pending_operations(table)
            yield Fault(f"its schema has version {version}, the code needs {code_version}; pending: {pending}", UPDATE)
        for difference in find_drift(table.metadata):
            if difference.prevents_writes:
                yield Fault(describe(difference), REPAIR)

    seen = f"{'.'.join(table.name())}, schema version {version}, {len(table.schema().fields)} columns"
    return finding_of(faults(), seen)


def maintenance(stage: Stage) -> Finding:
    """Check that S3 Tables compacts the table and removes its old snapshots."""
    _require_s3_tables(stage)
    settings = stage.settings
    answer = stage.client("s3tables").get_table_maintenance_configuration(
        tableBucketARN=stage.bucket_arn, namespace=settings.namespace, name=settings.table
    )
    found: dict[str, Any] = answer["configuration"]
    age = found.get(SNAPSHOT_MANAGEMENT, {}).get("settings", {}).get(SNAPSHOT_MANAGEMENT, {}).get("maxSnapshotAgeHours")

    def faults() -> Iterator[Fault]:
        for type_, effect in ((COMPACTION, "small files pile up"), (SNAPSHOT_MANAGEMENT, "the metadata keeps growing")):
            status = found.get(type_, {}).get("status", "not set")
            if status != "enabled":
                yield Fault(f"{type_} is {status}: {effect}", f"Enable it: {APPLY}")
        disabling = [name for name in stage.table.properties if name.startswith(SNAPSHOT_EXPIRY_PREFIX)]
        if disabling:
            yield Fault(
                f"table property {', '.join(disabling)} switches off the snapshot management",
                "Remove it (Spark: ALTER TABLE ... UNSET TBLPROPERTIES).",
            )

    finding = finding_of(faults(), f"compaction and snapshot management are on, snapshots are kept for {age} h")
    if finding.status is Status.OK and age == DEFAULT_SNAPSHOT_SETTINGS["maxSnapshotAgeHours"]:
        seen = f"snapshots are kept for {age} h, the default of S3 Tables: too long for a commit per second"
        return Finding(Status.WARNING, seen, f"Set it: {APPLY}")
    return finding


def metadata(stage: Stage) -> Finding:
    """Check how close the metadata is to the size that S3 Tables rejects, and count the snapshots."""
    table = stage.table
    size = _metadata_bytes(stage, table)
    seen = f"{len(table.metadata.snapshots):,} snapshots, {size / 1e6:.1f} MB of metadata (S3 Tables rejects 50 MB)"
    if size < METADATA_WARNING_BYTES:
        return ok(seen)
    status = Status.FAILURE if size >= METADATA_FAILURE_BYTES else Status.WARNING
    remedy = "Lower maxSnapshotAgeHours of the snapshot management (docs/runbook.md, MetadataSize)."
    return Finding(status, seen, remedy)


def last_commit(stage: Stage) -> Finding:
    """Check when sales were last committed, and whether messages wait although none are being committed."""
    times = [
        snapshot.timestamp_ms
        for snapshot in stage.table.metadata.snapshots
        if snapshot.summary is not None and snapshot.summary.operation is Operation.APPEND
    ]
    if times:
        age = stage.now() - datetime.fromtimestamp(max(times) / 1000, UTC)
        seen, quiet = f"the last sale was committed {_in_words(age)} ago", age > QUIET
    else:
        seen, quiet = "no sale was ever committed", True
    waiting = stage.messages_in(stage.buffer_queue)
    follow = "follow docs/runbook.md, Event not processed."
    if quiet and waiting:
        seen = f"{seen}, and messages wait in {stage.buffer_queue}: {waiting:,}"
        return Finding(Status.WARNING, seen, f"Check again in five minutes. If nothing has changed, {follow}")
    if quiet and times:
        return Finding(Status.WARNING, seen, f"If products were sold since then, {follow}")
    return ok(seen)


def _pending_operations(table: Table) -> str:
    try:
        return ", ".join(step.description for step in plan(definition_of(table.metadata)))
    except OperationRefused as error:
        return str(error)


def _metadata_bytes(stage: Stage, table: Table) -> int:
    location = urlsplit(table.metadata_location)
    if location.scheme != "s3":
        raise Inconclusive(f"the metadata is not in S3: {table.metadata_location}")
    answer: dict[str, Any] = stage.client("s3").head_object(Bucket=location.netloc, Key=location.path.lstrip("/"))
    return int(answer["ContentLength"])


def _require_s3_tables(stage: Stage) -> None:
    if stage.settings.catalog.kind not in (CatalogKind.S3_TABLES, CatalogKind.GLUE):
        raise Inconclusive(f"the function's catalog is {stage.settings.catalog.kind.value}, not S3 Tables")


def _in_words(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes < 2 * 60:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 2 * 24 * 60 else f"{minutes // (24 * 60)} days"


CHECKS: Final = (
    Check("table bucket", bucket, DEPLOY_AGAIN),
    Check("namespace", namespace, CREATE),
    Check("Iceberg table", schema, CREATE),
    Check("maintenance", maintenance, CREATE),
    Check("table metadata", metadata, CREATE),
    Check("last commit", last_commit, CREATE),
)
