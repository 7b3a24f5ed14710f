"""Checks of the Iceberg table: bucket, namespace, schema, maintenance, metadata size and last commit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from carousel_sync.doctor.finding import Fault, Result, Status
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


def bucket(stage: Stage) -> Result:
    """Check that the table bucket exists and is the one that the function writes to."""
    _require_s3_tables(stage)
    warehouse = stage.settings.catalog.warehouse
    if warehouse != stage.bucket_arn:
        return [Fault(f"the function writes to {warehouse} instead of {stage.bucket_arn}")]
    return [f"table bucket {stage.table_bucket}"]


def namespace(stage: Stage) -> Result:
    """Check that the namespace exists."""
    _require_s3_tables(stage)
    name = stage.settings.namespace
    stage.client("s3tables").get_namespace(tableBucketARN=stage.bucket_arn, namespace=name)
    return [f"namespace {name}"]


def schema(stage: Stage) -> Result:
    """Check that the table is at the code's version, or ahead of it, and that this code can write to it."""
    table, code_version = stage.table, len(load_migrations())
    try:
        version = position_of(definition_of(table.metadata)).version
    except MigrationError as error:
        yield Fault(str(error), f"Then bring it up to date: {APPLY}")
        return
    if version < code_version:
        pending = _pending_operations(table)
        yield Fault(f"its schema has version {version}, the code needs {code_version}; pending: {pending}", UPDATE)
    # If a later version of this project changed the table, columns that this code does not know are null.
    if version <= code_version:
        for difference in find_drift(table.metadata):
            if difference.prevents_writes:
                yield Fault(describe(difference), REPAIR)
    yield f"{'.'.join(table.name())}, schema version {version}, {len(table.schema().fields)} columns"


def maintenance(stage: Stage) -> Result:
    """Check that S3 Tables compacts the table and removes its old snapshots."""
    _require_s3_tables(stage)
    settings = stage.settings
    answer = stage.client("s3tables").get_table_maintenance_configuration(
        tableBucketARN=stage.bucket_arn, namespace=settings.namespace, name=settings.table
    )
    found: dict[str, Any] = answer["configuration"]
    faults: list[Fault] = []
    age = found.get(SNAPSHOT_MANAGEMENT, {}).get("settings", {}).get(SNAPSHOT_MANAGEMENT, {}).get("maxSnapshotAgeHours")
    for type_, effect in ((COMPACTION, "small files pile up"), (SNAPSHOT_MANAGEMENT, "the metadata keeps growing")):
        status = found.get(type_, {}).get("status", "not set")
        if status != "enabled":
            faults.append(Fault(f"{type_} is {status}: {effect}", f"Enable it: {APPLY}"))
    disabling = [name for name in stage.table.properties if name.startswith(SNAPSHOT_EXPIRY_PREFIX)]
    if disabling:
        problem = f"table property {', '.join(disabling)} switches off the snapshot management"
        faults.append(Fault(problem, "Remove it (Spark: ALTER TABLE ... UNSET TBLPROPERTIES)."))
    if not faults and age == DEFAULT_SNAPSHOT_SETTINGS["maxSnapshotAgeHours"]:
        problem = f"snapshots are kept for {age} h, the default of S3 Tables: too long for a commit per second"
        faults.append(Fault(problem, f"Set it: {APPLY}", Status.WARNING))
    return [*faults, f"compaction and snapshot management are on, snapshots are kept for {age} h"]


def metadata(stage: Stage) -> Result:
    """Check how close the metadata is to the size that S3 Tables rejects, and count the snapshots."""
    table = stage.table
    location = urlsplit(table.metadata_location)
    if location.scheme != "s3":
        raise Inconclusive(f"the metadata is not in S3: {table.metadata_location}")
    answer = stage.client("s3").head_object(Bucket=location.netloc, Key=location.path.lstrip("/"))
    size: int = answer["ContentLength"]
    seen = f"{len(table.metadata.snapshots):,} snapshots, {size / 1e6:.1f} MB of metadata (S3 Tables rejects 50 MB)"
    if size < METADATA_WARNING_BYTES:
        return [seen]
    status = Status.FAILURE if size >= METADATA_FAILURE_BYTES else Status.WARNING
    remedy = "Lower maxSnapshotAgeHours of the snapshot management (docs/runbook.md, MetadataSize)."
    return [Fault(seen, remedy, status)]


def last_commit(stage: Stage) -> Result:
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
        return [Fault(seen, f"Check again in five minutes. If nothing has changed, {follow}", Status.WARNING)]
    if quiet and times:
        return [Fault(seen, f"If products were sold since then, {follow}", Status.WARNING)]
    return [seen]


def _pending_operations(table: Table) -> str:
    try:
        return ", ".join(step.description for step in plan(definition_of(table.metadata)))
    except OperationRefused as error:
        return str(error)


def _require_s3_tables(stage: Stage) -> None:
    if stage.settings.catalog.kind not in (CatalogKind.S3_TABLES, CatalogKind.GLUE):
        raise Inconclusive(f"the function's catalog is {stage.settings.catalog.kind.value}, not S3 Tables")


def _in_words(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes < 2 * 60:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 2 * 24 * 60 else f"{minutes // (24 * 60)} days"
