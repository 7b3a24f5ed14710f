"""Maintains the table of sales in a catalog that does not do so itself, such as Glue over a general purpose bucket.

    spark-submit maintenance.py --table sales.pricing_intelligence.sales_history

It compacts small files in the table's sort order, removes what is left of deleted rows, rewrites the manifests, removes
old snapshots, and removes files that no snapshot references. The function may write meanwhile: each step is a commit
that gives way to others. Run it about once an hour, and never twice at the same time. README.md has the properties of
the catalog.

Not for a table in S3 Tables, which does all of this by itself.
"""

from __future__ import annotations

import argparse
import re
import sys
import time

from pyspark.sql import SparkSession

TARGET_MB = 512
"""As S3 Tables compacts (catalog_config/maintenance.py): a larger file costs the function's look-ups no more."""
SNAPSHOTS_KEPT = 10
"""At least so many snapshots stay, however old they are. S3 Tables is set to the same number."""
DEFAULT_SNAPSHOT_HOURS = 6.0
"""As in S3 Tables: longer than a message of the buffer queue is delivered again, which is about five hours."""
DEFAULT_ORPHAN_HOURS = 72.0
"""As in S3 Tables (UnreferencedFileRemoval in template.yaml)."""

INVOCATION_SECONDS = 60
"""An invocation looks for its attempt in the history since its pin (the function's Timeout in template.yaml)."""
REDELIVERY_SECONDS = 660
"""A message that was not acknowledged is received again after at most this long (VisibilityTimeout, likewise)."""
ENTRY_SECONDS = 180
"""Another invocation may land an attempt, and so its files, that waited this long (group_commit/group.py)."""

LEAST_SNAPSHOT_HOURS = (INVOCATION_SECONDS + REDELIVERY_SECONDS + ENTRY_SECONDS) / 3600
LEAST_ORPHAN_HOURS = 24.0
"""Iceberg's own limit. It is far above the time between an upload and its commit, an invocation and ENTRY_SECONDS."""

STEPS = ("compact", "deletes", "manifests", "snapshots", "orphans")
_TABLE = re.compile(r"(\w+)\.(\w+\.\w+)")


class Refused(Exception):
    """The job would harm the table or the function that writes it."""


def check(options: argparse.Namespace) -> None:
    """Raise Refused if an option has an unsafe value."""
    if not _TABLE.fullmatch(options.table):
        raise Refused(f"--table is {options.table!r}; it has to be CATALOG.NAMESPACE.TABLE.")
    if options.snapshot_hours < LEAST_SNAPSHOT_HOURS:
        raise Refused(
            f"--snapshot-hours is {options.snapshot_hours:g}; it has to be at least {LEAST_SNAPSHOT_HOURS:g}. The "
            f"function looks for its attempts in the snapshots of an invocation ({INVOCATION_SECONDS} s), of the time "
            f"until an event is delivered again ({REDELIVERY_SECONDS} s) and of the time that an attempt may wait for "
            f"a group ({ENTRY_SECONDS} s). Without them, attempts give up, and events are delivered again and again."
        )
    if options.orphan_hours < LEAST_ORPHAN_HOURS:
        raise Refused(
            f"--orphan-hours is {options.orphan_hours:g}; it has to be at least {LEAST_ORPHAN_HOURS:g}, which is also "
            "Iceberg's limit. An invocation uploads its files before it commits them, and another one may commit them "
            f"up to {ENTRY_SECONDS} s later. If such a file is removed, the table references a file that is gone, and "
            "its sales are lost."
        )


def statement(step: str, options: argparse.Namespace, now: float) -> str:
    """Return the SQL of a step. ``now`` is in seconds since the Unix epoch."""
    catalog, table = options.table.split(".", 1)
    if step == "compact":
        # A file with deleted rows is rewritten too. With partial progress, a lost race costs one group of files.
        settings = {
            "target-file-size-bytes": options.target_mb * 2**20,
            "delete-file-threshold": 1,
            "partial-progress.enabled": "true",
        }
        listed = ", ".join(f"'{name}', '{value}'" for name, value in settings.items())
        procedure = f"{catalog}.system.rewrite_data_files"
        return f"CALL {procedure}(table => '{table}', strategy => 'sort', options => map({listed}))"
    if step == "deletes":
        # Removes the delete files whose rows are gone since the compaction.
        return (
            f"CALL {catalog}.system.rewrite_position_delete_files(table => '{table}', "
            "options => map('rewrite-all', 'true'))"
        )
    if step == "manifests":
        return f"CALL {catalog}.system.rewrite_manifests(table => '{table}')"
    if step == "snapshots":
        return (
            f"CALL {catalog}.system.expire_snapshots(table => '{table}', retain_last => {SNAPSHOTS_KEPT}, "
            f"older_than => {_before(now, options.snapshot_hours)})"
        )
    listing = ", prefix_listing => true" if options.prefix_listing else ""
    return (
        f"CALL {catalog}.system.remove_orphan_files(table => '{table}', "
        f"older_than => {_before(now, options.orphan_hours)}{listing})"
    )


def _before(now: float, hours: float) -> str:
    return time.strftime("TIMESTAMP '%Y-%m-%d %H:%M:%SZ'", time.gmtime(now - hours * 3600))


def refuse_s3_tables(spark: SparkSession, table: str) -> None:
    """Raise Refused if the catalog is S3 Tables, or Glue's view of it."""
    catalog = table.split(".", maxsplit=1)[0]
    prefix = f"spark.sql.catalog.{catalog}"
    warehouse = spark.conf.get(f"{prefix}.warehouse", "") + spark.conf.get(f"{prefix}.glue.id", "")
    if ":s3tables:" in warehouse or "s3tablescatalog" in warehouse:
        raise Refused(
            "The table is in S3 Tables, which compacts it and removes old snapshots and unreferenced files by itself. "
            "carousel-sync evolve apply sets this maintenance."
        )


def main() -> None:
    """Run the job. Exits with 1, and changes nothing, if it is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="CATALOG.NAMESPACE.TABLE")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="what to do; default: everything")
    parser.add_argument("--target-mb", type=int, default=TARGET_MB, help="size of a compacted file")
    parser.add_argument("--snapshot-hours", type=float, default=DEFAULT_SNAPSHOT_HOURS, help="keep younger snapshots")
    parser.add_argument("--orphan-hours", type=float, default=DEFAULT_ORPHAN_HOURS, help="keep younger files")
    parser.add_argument(
        "--prefix-listing",
        action="store_true",
        help="list files through the catalog's FileIO, where Spark itself can't read s3:// (Iceberg 1.10 or later)",
    )
    options, _ = parser.parse_known_args()  # Glue adds arguments of its own.
    try:
        check(options)
        spark = SparkSession.builder.appName("maintenance of the sales").getOrCreate()
        refuse_s3_tables(spark, options.table)
    except Refused as error:
        sys.exit(f"Refused, nothing was changed: {error}")
    for step in STEPS:
        if step in options.steps:
            rows = spark.sql(statement(step, options, time.time())).collect()
            # The removal of unreferenced files returns a row for each file, the other steps one row of counts.
            counts = {"files": len(rows)} if step == "orphans" else rows[0].asDict()
            print(f"{step}: {', '.join(f'{name} {value}' for name, value in counts.items())}")


if __name__ == "__main__":
    main()
