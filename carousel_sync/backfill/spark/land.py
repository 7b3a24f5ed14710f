"""Lands one chunk: claims its young sales, merges what has no row, and fills the projection from the rows.

The steps are those of the function (docs/exactly-once.md), in its order, for all sales of some months at once. A chunk
may be repeated after a crash at any point.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

from carousel_sync.backfill.spark.merge import Chunk, Month, in_months, is_conflict, session_settings, statement
from carousel_sync.backfill.spark.stores import DECISION_DDL, Claim, Finish, Outcome
from catalog_config.table_properties import FENCED_ATTEMPTS
from lambda_fn.fields import BASE_FACTS, FACTS
from lambda_fn.iceberg.history import snapshot_node
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.process_deliveries import CONFLICT
from lambda_fn.sale import PROJECTION_YEARS
from lambda_fn.settings import Settings
from lambda_fn.wiring import new_attempt_id

KEY: Final = ["tenant_id", "sale_id"]
MERGE_TRIES: Final = 10
LONGEST_PAUSE_SECONDS: Final = 30.0
UNCLAIMED_AFTER_SECONDS: Final = 24 * 3600.0
"""How long after the expiry of its item a sale needs no claim: every attempt at it has looked it up in the table.

The function decides by its own clock, when an invocation starts; a day is longer than any of them takes.
"""

_SOURCE: Final = "carousel_backfill_source"


@dataclass(frozen=True)
class TargetTable:
    """The Iceberg table: its name in Spark, its columns with their field ids, and how to load it with pyiceberg."""

    name: str
    field_ids: Mapping[str, int]
    load: Callable[[], Any]

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.field_ids)

    def head(self) -> int:
        """Return the id of the current snapshot, or NO_SNAPSHOT."""
        snapshot_id = self.load().metadata.current_snapshot_id
        return NO_SNAPSHOT if snapshot_id is None else int(snapshot_id)

    def rows_landed_by(self, attempt_id: int) -> int:
        """Return the number of rows that the snapshots of an attempt have added."""
        added = 0
        for snapshot in self.load().metadata.snapshots:
            summary = snapshot.summary.additional_properties if snapshot.summary else {}
            node = snapshot_node(snapshot.snapshot_id, None, 0, summary)
            if attempt_id in node.landed:
                # A MERGE that finds the row of a concurrent writer copies the other rows of its file.
                added += int(summary.get("added-records", 0)) - int(summary.get("deleted-records", 0))
        return added


@dataclass
class ChunkReport:
    """What became of the sales of a chunk. ``lease_until`` is the end of the last lease of others, or 0.

    ``seconds`` is how long its parts took.
    """

    landed: int = 0
    conflicts: int = 0
    held: int = 0
    lease_until: float = 0.0
    causes: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time that a part of the work takes."""
        started = time.monotonic()
        yield
        self.seconds[part] += round(time.monotonic() - started, 1)  # type: ignore[assignment]

    def add(self, decisions: Any) -> Counter[str]:
        """Add the HELD sales of a DataFrame of decisions, and return the number of each outcome."""
        outcomes: Counter[str] = Counter()
        for row in decisions.groupBy("outcome", "cause").agg({"lease_until": "max", "*": "count"}).collect():
            outcomes[row["outcome"]] += row["count(1)"]
            if row["outcome"] == Outcome.HELD:
                self.held += row["count(1)"]
                self.causes[row["cause"]] += row["count(1)"]
                self.lease_until = max(self.lease_until, row["max(lease_until)"])
        return outcomes


@dataclass(frozen=True)
class Landing:
    """Lands chunks of staged sales. ``reject`` stores a DataFrame of conflicting sales for a chunk."""

    spark: Any
    table: TargetTable
    settings: Settings
    lease_seconds: float
    reject: Callable[[Chunk, Any], None]

    def land(self, chunk: Chunk, staged: Any) -> ChunkReport:
        """Land the sales of a chunk.

        Raises StoreUnavailable, and Spark's errors. Sales may be claimed or landed then; a repeat goes on from there.
        """
        report = ChunkReport()
        attempt_id, pin = new_attempt_id(), self.table.head()
        expired = time.time() - UNCLAIMED_AFTER_SECONDS
        sales = staged.selectExpr("*", f"_expires_at > {expired} AS _young")
        conflicts = []
        if any(_may_be_young(month, expired) for month in chunk.months):
            claim = Claim(self.settings, self.table.field_ids, attempt_id, pin, self.lease_seconds)
            decisions = sales.where("_young").select(self.table.columns).mapInArrow(claim, DECISION_DDL).persist()
            with report.timed("claim"):
                outcomes = report.add(decisions)
            fenced = [row.attempt for row in decisions.selectExpr("explode(earlier) AS attempt").distinct().collect()]
            if outcomes[Outcome.CONFLICT]:
                keys = decisions.where(f"outcome = '{Outcome.CONFLICT}'").select(KEY)
                conflicts.append(sales.join(keys, KEY, "left_semi"))
            sales = sales.join(decisions.where(f"outcome <> '{Outcome.CLAIMED}'").select(KEY), KEY, "left_anti")
        else:
            fenced = []

        keys = self._rows(chunk.months).select(KEY).distinct().selectExpr(*KEY, "true AS _present")
        sales = sales.join(keys, KEY, "left").persist()
        absent = sales.where("_present IS NULL")
        with report.timed("look up"):
            absent_count = absent.count()
        if absent_count:
            with report.timed("merge"):
                merged = self._merge(chunk, absent, attempt_id, fenced)
            report.landed = self.table.rows_landed_by(attempt_id)
            if not merged:
                report.held += absent_count
                report.causes[f"other writers changed the table during {MERGE_TRIES} tries to merge"] += absent_count

        # The rows decide. Those that this attempt has just landed are known to be equal.
        compared = self._compared(sales.where("_young OR _present" if report.landed == absent_count else "true"))
        with report.timed("project"):
            if compared is not None:
                conflicts += self._finish(compared, report)
        if conflicts:
            report.conflicts = self._reject(chunk, conflicts)
        self.spark.catalog.clearCache()
        return report

    def _finish(self, compared: Any, report: ChunkReport) -> list[Any]:
        """Fill the projection from the rows of young sales, complete their claims, and return the conflicting sales."""
        compared = compared.persist()
        finish = Finish(self.settings, self.table.field_ids, self.lease_seconds)
        rows = compared.where("_young").select([f"row.{name}" for name in self.table.columns])
        report.add(rows.mapInArrow(finish, DECISION_DDL))
        conflicting = compared.where("NOT _same")
        return [] if conflicting.isEmpty() else [conflicting]

    def _rows(self, months: Sequence[Month]) -> Any:
        return self.spark.table(self.table.name).where(in_months(months))

    def _merge(self, chunk: Chunk, absent: Any, attempt_id: int, fenced: Sequence[int]) -> bool:
        """Insert the sales that have no row. Returns whether all of them have one now."""
        absent.select(self.table.columns).createOrReplaceTempView(_SOURCE)
        self.spark.conf.unset(f"spark.sql.iceberg.snapshot-property.{FENCED_ATTEMPTS}")
        for name, value in session_settings(attempt_id, fenced).items():
            self.spark.conf.set(name, value)
        merge = statement(self.table.name, _SOURCE, self.table.columns, chunk.months)
        for number in range(MERGE_TRIES):
            try:
                self.spark.sql(merge)
                return True
            except Exception as error:
                if not is_conflict(error):
                    raise
            time.sleep(min(LONGEST_PAUSE_SECONDS, 0.5 * 2**number))
        return False

    def _compared(self, sales: Any) -> Any | None:
        """Return the sales with their ``row`` in the table, and whether both have the same facts. None without sales.

        A fact that was added to the schema later is compared only if the row has it: the row does not show whether its
        writer knew the fact (``Sale.stored_facts``).
        """
        months = [Month(row.year, row.month) for row in sales.select("year", "month").distinct().collect()]
        if not months:
            return None
        name_of = {field_id: name for name, field_id in self.table.field_ids.items()}
        same = []
        for fact in FACTS:
            name = name_of.get(fact.field_id)
            if name is not None:
                unknown = "" if fact in BASE_FACTS else f"row.`{name}` IS NULL OR "
                same.append(f"({unknown}row.`{name}` <=> `{name}`)")
        rows = self._rows(months).selectExpr(*KEY, "struct(*) AS row")
        found = sales.join(rows, KEY)
        return found.selectExpr("*", f"{' AND '.join(same)} AS _same")

    def _reject(self, chunk: Chunk, conflicts: Sequence[Any]) -> int:
        columns = ["_file", "_text", *KEY]
        rejected, *others = [frame.select(columns) for frame in conflicts]
        for other in others:
            rejected = rejected.unionAll(other)
        rejected = rejected.dropDuplicates(KEY).persist()
        literals = [f"'{CONFLICT.reason}' AS _reason", f"'{CONFLICT.detail}' AS _detail"]
        self.reject(chunk, rejected.selectExpr("_file", *literals, "_text"))
        count: int = rejected.count()
        return count


def _may_be_young(month: Month, expired: float) -> bool:
    """Return whether the item of a sale in this month may expire after this time."""
    next_month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    expiry = datetime(next_month.year + PROJECTION_YEARS, next_month.month, 2, tzinfo=UTC)
    return expiry.timestamp() > expired
