"""The Iceberg table: bucket, namespace, schema, maintenance, the size of its metadata, and its last commit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from carousel_sync.doctor.account import DEPLOY_AGAIN
from carousel_sync.doctor.finding import Check, Finding, Status, judged, ok
from carousel_sync.doctor.stage import CannotTell, Stage
from catalog_config.config import CatalogKind
from schemas.evolution.migration import current_schema, load_migrations
from schemas.evolution.table_operations import SCHEMA_VERSION

APPLY: Final = "carousel-sync evolve apply --stage {stage}"
CREATE: Final = f"Create it: {APPLY}"
# S3 Tables refuses metadata above 50 MB. Each commit carries all of it, so that it is slow long before.
METADATA_WARNING_BYTES: Final = 20_000_000
METADATA_FAILURE_BYTES: Final = 40_000_000
QUIET: Final = timedelta(hours=24)
SNAPSHOT_MANAGEMENT: Final = "icebergSnapshotManagement"
COMPACTION: Final = "icebergCompaction"
DEFAULT_AGE_HOURS: Final = 120
_DISABLES_SNAPSHOT_MANAGEMENT: Final = "history.expire."


def bucket(stage: Stage) -> Finding:
    """Whether the table bucket is there, and is the one that the function writes to."""
    _require_s3_tables(stage)
    arn = stage.bucket_arn
    if stage.settings.catalog.warehouse != arn:
        return Finding(
            Status.FAILURE, f"the function writes to {stage.settings.catalog.warehouse} instead of {arn}", DEPLOY_AGAIN
        )
    return ok(f"table bucket {stage.table_bucket}")


def namespace(stage: Stage) -> Finding:
    """Whether the namespace is there."""
    _require_s3_tables(stage)
    name = stage.settings.namespace
    stage.client("s3tables").get_namespace(tableBucketARN=stage.bucket_arn, namespace=name)
    return ok(f"namespace {name}")


def schema(stage: Stage) -> Finding:
    """Whether the table has what the code writes: its schema's version, and every column under its field id."""
    table, columns, code_version = stage.table, current_schema().fields, len(load_migrations())
    apply = f"Bring it up to date: {APPLY}"
    other = (
        "The table was made by something else. Do not drop it: set ICEBERG_TABLE to another name, or repair the schema."
    )

    version = table.properties.get(SCHEMA_VERSION, "unknown")

    def faults() -> Iterator[tuple[str, str]]:
        if version.isdecimal() and int(version) > code_version:
            return  # A later version of this project has changed it; what this one does not know is written null.
        if not version.isdecimal() or int(version) < code_version:
            yield f"its schema has version {version}, the code needs {code_version}", apply
        present = {column.field_id: column for column in table.schema().fields}
        for wanted in columns:
            column = present.pop(wanted.field_id, None)
            if column is None:
                yield f"no column {wanted.name} (field id {wanted.field_id})", apply
            elif (column.name, column.field_type) != (wanted.name, wanted.field_type):
                yield f"field id {wanted.field_id} is '{column}' instead of '{wanted}'", other

    return judged(f"{'.'.join(table.name())}, schema version {version}, {len(table.schema().fields)} columns", faults())


def maintenance(stage: Stage) -> Finding:
    """Whether S3 Tables compacts the table and expires its snapshots."""
    _require_s3_tables(stage)
    settings = stage.settings
    where = {"tableBucketARN": stage.bucket_arn, "namespace": settings.namespace, "name": settings.table}
    found: dict[str, Any] = stage.client("s3tables").get_table_maintenance_configuration(**where)["configuration"]
    age = found.get(SNAPSHOT_MANAGEMENT, {}).get("settings", {}).get(SNAPSHOT_MANAGEMENT, {}).get("maxSnapshotAgeHours")
    switch_on = f"Switch it on: {APPLY}"

    def faults() -> Iterator[tuple[str, str]]:
        for kind, why in ((COMPACTION, "small files pile up"), (SNAPSHOT_MANAGEMENT, "the metadata only grows")):
            status = found.get(kind, {}).get("status", "not set")
            if status != "enabled":
                yield f"{kind} is {status}: {why}", switch_on
        disabling = [name for name in stage.table.properties if name.startswith(_DISABLES_SNAPSHOT_MANAGEMENT)]
        if disabling:
            yield (
                f"table property {', '.join(disabling)} switches the snapshot management off",
                "Remove it (Spark: ALTER TABLE ... UNSET TBLPROPERTIES).",
            )

    finding = judged(f"compaction and snapshot management are on, snapshots live for {age} h", faults())
    if finding.status is Status.OK and age == DEFAULT_AGE_HOURS:
        seen = f"snapshots live for {age} h, the default of S3 Tables: too long for a commit a second"
        return Finding(Status.WARNING, seen, f"Set it: {APPLY}")
    return finding


def metadata(stage: Stage) -> Finding:
    """How many snapshots the table keeps, and how far its metadata is from the size that S3 Tables refuses."""
    table = stage.table
    size = _metadata_bytes(stage, table)
    seen = f"{len(table.metadata.snapshots):,} snapshots, {size / 1e6:.1f} MB of metadata (S3 Tables refuses 50 MB)"
    if size < METADATA_WARNING_BYTES:
        return ok(seen)
    status = Status.FAILURE if size >= METADATA_FAILURE_BYTES else Status.WARNING
    remedy = "Lower maxSnapshotAgeHours of the snapshot management (docs/runbook.md, MetadataSize)."
    return Finding(status, seen, remedy)


def last_commit(stage: Stage) -> Finding:
    """When sales were committed last, and whether some wait although none are."""
    appended = [
        snapshot
        for snapshot in stage.table.metadata.snapshots
        if snapshot.summary is not None and snapshot.summary.operation is Operation.APPEND
    ]
    queue = stage.queue(stage.buffer_queue)
    waiting = int(queue["ApproximateNumberOfMessages"]) + int(queue["ApproximateNumberOfMessagesNotVisible"])
    if not appended:
        seen, quiet = "no sale was ever committed", True
    else:
        newest = datetime.fromtimestamp(max(one.timestamp_ms for one in appended) / 1000, UTC)
        age = stage.now() - newest
        seen, quiet = f"the last sale was committed {_for_people(age)} ago", age > QUIET
    follow = "Follow docs/runbook.md, Event not processed."
    if quiet and waiting:
        seen = f"{seen}, and {waiting:,} messages are in {stage.buffer_queue}"
        return Finding(Status.WARNING, seen, f"Look again in five minutes. If it is still so: {follow}")
    if quiet and appended:
        return Finding(Status.WARNING, seen, f"If products were sold since: {follow}")
    return ok(seen)


def _metadata_bytes(stage: Stage, table: Table) -> int:
    location = urlsplit(table.metadata_location)
    if location.scheme != "s3":
        raise CannotTell(f"the metadata is not in S3: {table.metadata_location}")
    answer: dict[str, Any] = stage.client("s3").head_object(Bucket=location.netloc, Key=location.path.lstrip("/"))
    return int(answer["ContentLength"])


def _require_s3_tables(stage: Stage) -> None:
    if stage.settings.catalog.kind not in (CatalogKind.S3_TABLES, CatalogKind.GLUE):
        raise CannotTell(f"the function's catalog is {stage.settings.catalog.kind.value}, not S3 Tables")


def _for_people(age: timedelta) -> str:
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
