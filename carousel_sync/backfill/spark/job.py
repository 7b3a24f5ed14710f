"""The backfill through Spark: stage the records, land them chunk by chunk, and report."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from carousel_sync.backfill.spark.land import KEY, Landing, TargetTable
from carousel_sync.backfill.spark.merge import Chunk, Month, chunks_of, in_months
from carousel_sync.backfill.spark.staging import BLOCK, FILE, INDEX, LINE, RECORD_TYPES, Stage
from catalog_config.connect import connect
from lambda_fn.errors import ConfigurationError
from lambda_fn.iceberg.arrow_schema import arrow_schema
from lambda_fn.process_deliveries import CONFLICT
from lambda_fn.settings import Settings

PASSES: Final = 4
"""How often a chunk is tried while other attempts hold some of its sales."""
SALES_PER_CHUNK: Final = 100_000
LEASE_SECONDS: Final = 300.0
LONGEST_LEASE_SECONDS: Final = 960.0
"""No invocation of the function holds a claim for longer."""
RECORDS_PER_BATCH: Final = 1000

SESSION_OPTIONS: Final = {
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(RECORDS_PER_BATCH),
    # All rows of a partition in one file. The default for a sorted table reads the source twice.
    "spark.sql.iceberg.distribution-mode": "hash",
}

_ISOLATION, _SERIALIZABLE = "write.merge.isolation-level", "serializable"
_LEAST_SPARK: Final = (4, 0)
_LEAST_ICEBERG: Final = (1, 11)
_SALE, _DUPLICATE, _CONFLICT, _REJECTED = "sale", "duplicate", "conflict", "rejected"
_GROUPS: Final = ("_verdict", "year", "month")
_RANKED: Final = f"""
SELECT * EXCEPT (_rank, _first_facts),
       CASE WHEN _reason IS NOT NULL THEN '{_REJECTED}' WHEN _rank = 1 THEN '{_SALE}'
            WHEN _facts = _first_facts THEN '{_DUPLICATE}' ELSE '{_CONFLICT}' END AS _verdict
FROM (SELECT *, row_number() OVER sale AS _rank, first_value(_facts) OVER sale AS _first_facts FROM {{records}}
      WINDOW sale AS (PARTITION BY _identity ORDER BY {FILE}, {BLOCK}, {INDEX}))
"""  # noqa: S608 (constants)
# A sale that has a row in another month than its own: its id was used for another sale.
_ELSEWHERE: Final = """
SELECT DISTINCT s.tenant_id, s.sale_id FROM {sales} s JOIN {table} t USING (tenant_id, sale_id)
WHERE s.year <> t.year OR s.month <> t.month
"""


@dataclass(frozen=True)
class Options:
    """What to load, and how. ``table`` is the name in Spark, ``output`` a folder of the job's own.

    ``event_time`` is the time of the event, an ISO 8601 instant, for records without one.
    """

    sources: Sequence[str]
    output: str
    table: str
    parquet: bool = False
    event_time: str | None = None
    sales_per_chunk: int = SALES_PER_CHUNK
    lease_seconds: float = LEASE_SECONDS

    @property
    def staged(self) -> str:
        """The folder of the staged records, which the job deletes at its end."""
        return f"{self.output.rstrip('/')}/staged"

    @property
    def rejected(self) -> str:
        """The folder of the rejected records."""
        return f"{self.output.rstrip('/')}/rejected"


@dataclass
class Report:
    """The number of records by what became of them, and how long the parts of the job took."""

    records: int = 0
    landed: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    not_stored: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """Whether every record is stored."""
        return not (self.not_stored or self.rejected)

    def as_json(self) -> dict[str, Any]:
        """Return the report for JSON."""
        seconds = {part: round(taken, 1) for part, taken in self.seconds.items()}
        return {**vars(self), "rejected": dict(self.rejected), "causes": dict(self.causes), "seconds": seconds}


class Backfill:
    """One run. It may be repeated at any time, whenever and however it was interrupted."""

    def __init__(self, spark: Any, settings: Settings, options: Options, show: Callable[[str], None]) -> None:
        self._spark = spark
        self._settings = settings
        self._options = options
        self._show = show

    def run(self) -> Report:
        """Store the records. Raises CarouselSyncError and Spark's errors; a repeat goes on from there."""
        for name, value in SESSION_OPTIONS.items():
            if name != "spark.sql.extensions":
                self._spark.conf.set(name, value)
        check_versions(self._spark)
        table = self._table()
        report, started = Report(), time.monotonic()
        self._delete(self._options.staged)
        self._delete(self._options.rejected)
        sales = self._stage(table, report)
        report.seconds["stage"] = round(time.monotonic() - started, 1)  # type: ignore[assignment]
        self._show(f"{report.records:,} records staged in {report.seconds['stage']} s: {sum(sales.values()):,} sales")
        self._land(table, list(chunks_of(sales.items(), self._options.sales_per_chunk)), report)
        report.duplicates = report.records - report.landed - report.rejected.total() - report.not_stored
        self._delete(self._options.staged)
        return report

    def _table(self) -> TargetTable:
        """Return the table. Raises ConfigurationError if Spark's is not the function's."""
        name = self._options.table
        catalog = connect(self._settings.catalog)

        def load() -> Any:
            return catalog.load_table(self._settings.table_identifier)

        loaded = load()
        java = self._spark._jvm.org.apache.iceberg.spark.Spark3Util
        found = java.loadIcebergTable(self._spark._jsparkSession, name).uuid().toString()
        if found != str(loaded.metadata.table_uuid):
            raise ConfigurationError(
                f"{name} in Spark is not the table that the function writes, "
                f"{'.'.join(self._settings.table_identifier)} in {self._settings.catalog.warehouse}. Nothing was "
                "written. Check --table and the properties of Spark's catalog."
            )
        check_isolation(loaded.properties)
        return TargetTable(name, {column.name: column.field_id for column in loaded.schema().fields}, load)

    def _source(self) -> Any:
        read = self._spark.read
        if self._options.parquet:
            rows = read.parquet(*self._options.sources)
            place = [f"_metadata.file_path AS {FILE}", f"0L AS {BLOCK}", f"_metadata.row_index AS {INDEX}"]
            if not {"tenant_id", "tenantId"} & set(rows.columns):
                raise ConfigurationError(
                    "The Parquet files have neither the table's columns (tenant_id, ...) nor the event's fields "
                    f"(tenantId, ...): {', '.join(sorted(rows.columns)[:10])}. Nothing was written."
                )
            return rows.selectExpr(*place, "*")
        lines = read.option("lineSep", "\n").text(list(self._options.sources))
        place = [f"_metadata.file_path AS {FILE}", f"_metadata.file_block_start AS {BLOCK}"]
        return lines.selectExpr(*place, f"CAST(value AS BINARY) AS {LINE}")

    def _stage(self, table: TargetTable, report: Report) -> dict[Month, int]:
        """Write all records as rows, and return the number of distinct sales of each month."""
        loaded = table.load()
        stage = Stage(arrow_schema(loaded.schema()), self._options.event_time, datetime.now(UTC).isoformat())
        columns = {name: ddl for name, (ddl, _) in RECORD_TYPES.items()}
        columns |= {part.name: part.dataType.simpleString() for part in self._spark.table(table.name).schema.fields}
        ddl = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
        self._source().mapInArrow(stage, ddl).createOrReplaceTempView("carousel_backfill_records")
        ranked = self._spark.sql(_RANKED.format(records="carousel_backfill_records"))
        # Sorted, so that reading a chunk skips the pages of the others.
        ranked.sortWithinPartitions(*_GROUPS).write.parquet(self._options.staged)
        self._ddl = f"{ddl}, `_verdict` string"

        sales: dict[Month, int] = {}
        for row in self._staged().groupBy(*_GROUPS, "_reason").count().collect():
            report.records += row["count"]
            if row["_verdict"] == _SALE:
                sales[Month(row["year"], row["month"])] = row["count"]
            elif row["_verdict"] != _DUPLICATE:
                report.rejected[row["_reason"] or CONFLICT.reason.value] += row["count"]
        if report.rejected:
            reason = f"coalesce(_reason, '{CONFLICT.reason}') AS _reason"
            detail = f"coalesce(_detail, '{CONFLICT.detail}') AS _detail"
            rejected = self._staged().where(f"_verdict IN ('{_REJECTED}', '{_CONFLICT}')")
            self._reject("source", rejected.selectExpr(FILE, reason, detail, "_text"))
        return sales

    def _staged(self) -> Any:
        return self._spark.read.schema(self._ddl).parquet(self._options.staged)

    def _land(self, table: TargetTable, chunks: Sequence[Chunk], report: Report) -> None:
        """Land the chunks, and try again those of which other attempts hold sales."""

        def reject(chunk: Chunk, rejected: Any) -> None:
            self._reject(chunk.name, rejected)

        landing = Landing(self._spark, table, self._settings, self._options.lease_seconds, reject)
        rejected: dict[Chunk, int] = {}
        elsewhere = self._reject_reused_ids(table, report)
        pending = list(chunks)
        for number in range(PASSES):
            held: list[Chunk] = []
            report.not_stored, report.causes, lease_until = 0, Counter(), 0.0
            for chunk in pending:
                started = time.monotonic()
                done = landing.land(chunk, self._sales_of(chunk, elsewhere))
                report.landed += done.landed
                report.not_stored += done.held
                report.causes += done.causes
                report.seconds += done.seconds
                rejected[chunk] = done.conflicts
                lease_until = max(lease_until, done.lease_until)
                held += [chunk] if done.held else []
                seconds = time.monotonic() - started
                self._show(
                    f"{chunk.name}: {chunk.sales:,} sales, {done.landed:,} landed, {done.held:,} held, {seconds:.1f} s"
                )
            pending = held
            if not pending or number + 1 == PASSES:
                break
            time.sleep(min(LONGEST_LEASE_SECONDS, max(1.0, lease_until - time.time())))
        if conflicts := sum(rejected.values()):
            report.rejected[CONFLICT.reason.value] += conflicts

    def _reject_reused_ids(self, table: TargetTable, report: Report) -> Any | None:
        """Reject the sales whose id has a row in another month. Returns their keys, or None if there are none."""
        self._staged().where(f"_verdict = '{_SALE}'").createOrReplaceTempView("carousel_backfill_sales")
        found = self._spark.sql(_ELSEWHERE.format(sales="carousel_backfill_sales", table=table.name)).collect()
        if not found:
            return None
        keys = self._spark.createDataFrame(found, "tenant_id string, sale_id string")
        rejected = self._spark.table("carousel_backfill_sales").join(keys, KEY, "left_semi")
        report.rejected[CONFLICT.reason.value] += rejected.count()
        literals = [f"'{CONFLICT.reason}' AS _reason", f"'{CONFLICT.detail}' AS _detail"]
        self._reject("reused-ids", rejected.selectExpr(FILE, *literals, "_text"))
        return keys

    def _sales_of(self, chunk: Chunk, elsewhere: Any | None) -> Any:
        sales = self._staged().where(f"_verdict = '{_SALE}' AND {in_months(chunk.months)}").drop("_verdict")
        return sales if elsewhere is None else sales.join(elsewhere, KEY, "left_anti")

    def _reject(self, name: str, rejected: Any) -> None:
        """Write rejected records, given as file, reason, detail and text, as JSON lines."""
        renamed = rejected.toDF("file", "reason", "detail", "text")
        renamed.write.mode("overwrite").json(f"{self._options.rejected}/{name}")

    def _delete(self, folder: str) -> None:
        path = self._spark._jvm.org.apache.hadoop.fs.Path(folder)
        path.getFileSystem(self._spark._jsc.hadoopConfiguration()).delete(path, True)


def check_versions(spark: Any) -> None:
    """Raise ConfigurationError if Spark or Iceberg is too old to give a MERGE's snapshot its properties."""
    iceberg = str(spark._jvm.org.apache.iceberg.IcebergBuild.version())
    for name, version, least in (("Spark", spark.version, _LEAST_SPARK), ("Iceberg", iceberg, _LEAST_ICEBERG)):
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        if numbers < least:
            raise ConfigurationError(
                f"{name} is {version}; the backfill needs {'.'.join(map(str, least))} or later. An older one does not "
                "write the properties of a MERGE's snapshot, without which the function could double a sale. Nothing "
                "was written."
            )


def check_isolation(properties: Mapping[str, str]) -> None:
    """Raise ConfigurationError if the table's properties let a MERGE ignore the rows of concurrent writers."""
    isolation = properties.get(_ISOLATION, _SERIALIZABLE)
    if isolation != _SERIALIZABLE:
        raise ConfigurationError(
            f"The table's property {_ISOLATION} is {isolation}. With it, Iceberg does not check what other writers "
            f"have added during a MERGE. Nothing was written. Remove the property, or set it to {_SERIALIZABLE}."
        )
