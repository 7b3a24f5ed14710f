"""Lands one chunk: claims its young sales, merges what has no row, and fills the projection from the rows.

The steps are those of the function (docs/exactly-once.md), in its order, for all sales of some months at once. A chunk
may be repeated after a crash at any point.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from carousel_sync.backfill.spark.merge import Chunk, in_months, is_conflict, session_settings, statement
from carousel_sync.backfill.spark.stores import DECISION_DDL, Claim, Finish, Outcome
from catalog_config.table_properties import FENCED_ATTEMPTS
from lambda_fn.errors import StoreUnavailable
from lambda_fn.fields import BASE_FACTS, FACTS
from lambda_fn.iceberg.history import snapshot_node
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.process_deliveries import CONFLICT
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
class Table:
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
    """What became of the sales of a chunk. ``lease_until`` is the end of the last lease of others, or 0."""

    landed: int = 0
    conflicts: int = 0
    held: int = 0
    lease_until: float = 0.0
    causes: Counter[str] = field(default_factory=Counter)

    def hold(self, decisions: Any) -> None:
        """Add the HELD sales of a DataFrame of decisions."""
        held = decisions.where(f"outcome = '{Outcome.HELD}'")
        for row in held.groupBy("cause").agg({"lease_until": "max", "*": "count"}).collect():
            self.held += row["count(1)"]
            self.causes[row["cause"]] += row["count(1)"]
            self.lease_until = max(self.lease_until, row["max(lease_until)"])


@dataclass(frozen=True)
class Landing:
    """Lands chunks of staged sales. ``reject`` stores a DataFrame of conflicting sales for a chunk."""

    spark: Any
    table: Table
    settings: Settings
    lease_seconds: float
    reject: Callable[[Chunk, Any], None]

    def land(self, chunk: Chunk, staged: Any, elsewhere: Any) -> ChunkReport:
        """Land a chunk. ``staged`` are its sales, ``elsewhere`` the keys of sales that have a row in other months.

        Raises StoreUnavailable, and Spark's errors. Sales may be claimed or landed then; a repeat goes on from there.
        """
        report = ChunkReport()
        attempt_id, pin = new_attempt_id(), self.table.head()
        expired = time.time() - UNCLAIMED_AFTER_SECONDS
        here = staged.join(elsewhere, KEY, "left_anti").selectExpr("*", f"_expires_at > {expired} AS _young")

        claim = Claim(self.settings, self.table.field_ids, attempt_id, pin, self.lease_seconds)
        decisions = here.where("_young").select(self.table.columns).mapInArrow(claim, DECISION_DDL).persist()
        report.hold(decisions)
        fenced = decisions.selectExpr("explode(earlier) AS attempt").distinct().collect()
        unclaimed = decisions.where(f"outcome <> '{Outcome.CLAIMED}'").select(KEY)
        claimed = here.join(unclaimed, KEY, "left_anti")
        conflicts = [staged.join(elsewhere, KEY, "left_semi"), self._conflicting(here, decisions)]

        keys = self._rows(chunk).select(KEY).distinct().selectExpr(*KEY, "true AS _present")
        looked_up = claimed.join(keys, KEY, "left").persist()
        absent = looked_up.where("_present IS NULL")
        absent_count = absent.count()
        if absent_count:
            merged = self._merge(chunk, absent, attempt_id, [row.attempt for row in fenced])
            report.landed = self.table.rows_landed_by(attempt_id)
            if not merged:
                report.held += absent_count
                report.causes[f"other writers changed the table during {MERGE_TRIES} tries to merge"] += absent_count

        # The rows decide. Those that this attempt has just landed are known to be equal.
        wanted = "_young OR _present" if report.landed == absent_count else "true"
        compared = self._compared(chunk, looked_up.where(wanted)).persist()
        finish = Finish(self.settings, self.table.field_ids, self.lease_seconds)
        rows = compared.where("_young").select([f"row.{name}" for name in self.table.columns])
        finished = rows.mapInArrow(finish, DECISION_DDL).persist()
        report.hold(finished)
        conflicts.append(compared.where("NOT _same"))
        report.conflicts = self._reject(chunk, conflicts)
        for frame in (decisions, looked_up, compared, finished):
            frame.unpersist()
        return report

    def _rows(self, chunk: Chunk) -> Any:
        return self.spark.table(self.table.name).where(in_months(chunk.months))

    def _conflicting(self, sales: Any, decisions: Any) -> Any:
        keys = decisions.where(f"outcome = '{Outcome.CONFLICT}'").select(KEY)
        return sales.join(keys, KEY, "left_semi")

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

    def _compared(self, chunk: Chunk, sales: Any) -> Any:
        """Return the sales with their ``row`` in the table, and whether both have the same facts.

        A fact that was added to the schema later is compared only if the row has it: the row does not show whether its
        writer knew the fact (``Sale.stored_facts``).
        """
        name_of = {field_id: name for name, field_id in self.table.field_ids.items()}
        same = []
        for fact in FACTS:
            name = name_of.get(fact.field_id)
            if name is not None:
                unknown = "" if fact in BASE_FACTS else f"row.`{name}` IS NULL OR "
                same.append(f"({unknown}row.`{name}` <=> `{name}`)")
        rows = self._rows(chunk).selectExpr(*KEY, "struct(*) AS row")
        found = sales.join(rows, KEY)
        return found.selectExpr("*", f"{' AND '.join(same)} AS _same")

    def _reject(self, chunk: Chunk, conflicts: Sequence[Any]) -> int:
        columns = ["_file", "_text", *KEY]
        rejected, *others = [frame.select(columns) for frame in conflicts]
        for other in others:
            rejected = rejected.unionAll(other)
        rejected = rejected.dropDuplicates(KEY).persist()
        count: int = rejected.count()
        if count:
            literals = [f"'{CONFLICT.reason}' AS _reason", f"'{CONFLICT.detail}' AS _detail"]
            self.reject(chunk, rejected.selectExpr("_file", *literals, "_text"))
        rejected.unpersist()
        return count


def missing_row(found: int, expected: int, chunk: Chunk) -> StoreUnavailable:
    """Return the error for sales that have no row although the MERGE succeeded."""
    return StoreUnavailable(
        f"After the MERGE of {chunk.name}, {expected - found:,} of {expected:,} sales have no row. Their claims stay "
        "open. Something else deletes rows of the table, or reads of the catalog are stale; repeat the command."
    )
