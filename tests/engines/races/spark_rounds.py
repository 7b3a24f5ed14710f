"""What Spark does to the table while others write."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from tests.engines.readers.reader import Row, StatementFailed
from tests.engines.readers.spark_engine import Spark
from tests.tables import TableUnderTest

VICTIMS: Final = "victims"
"""The tenant whose sales Spark deletes, one in each round."""
ROUNDS: Final = 3
# Writers are often faster than Spark's commits. On a busy machine, a round takes minutes.
_SECONDS: Final = 600.0
_PAST_EVERYTHING: Final = "TIMESTAMP '2999-01-01 00:00:00Z'"


def victims() -> list[str]:
    """Return the ids of the sales to delete, and of one that stays."""
    return [f"victim-{number}" for number in range(ROUNDS + 1)]


@dataclass
class SparkRounds:
    """Rounds of deleting a row, compacting, and, where the catalog can, expiring every snapshot but the head.

    Merge-on-read deletes leave position delete files in the table, which every later snapshot has to keep.
    """

    spark: Spark
    table: TableUnderTest
    expires: bool
    compactions: int = 0
    refused: int = 0
    expired: int = 0
    last_refusal: str = ""

    def run(self) -> None:
        """Do all rounds. Where the writers are faster, Spark gives up after four retries, and is told to try again."""
        end = time.monotonic() + _SECONDS
        while self.compactions < ROUNDS:
            assert time.monotonic() < end, f"Spark has done {self.compactions} of {ROUNDS} rounds: {self.last_refusal}"
            if self._compact():
                self._delete(victims()[self.compactions - 1], end)
                if self.expires:
                    self._expire()

    def figures(self) -> dict[str, int]:
        """Return the figures as columns of a table."""
        return {"compactions": self.compactions, "refused": self.refused, "snapshots expired": self.expired}

    def _compact(self) -> bool:
        """Compact, and return whether that has rewritten files."""
        options = "map('min-input-files', '2')"
        try:
            ((rewritten, *_),) = self._call("rewrite_data_files", f"strategy => 'sort', options => {options}")
        except StatementFailed as error:
            self._note(error)
            return False
        self.compactions += rewritten > 0
        return bool(rewritten)

    def _delete(self, sale_id: str, end: float) -> None:
        name = self.spark.name_of(self.table)
        while True:
            assert time.monotonic() < end, f"Spark could not delete a row in time: {self.last_refusal}"
            try:
                self.spark.sql(f"DELETE FROM {name} WHERE tenant_id = '{VICTIMS}' AND sale_id = '{sale_id}'")  # noqa: S608
                return
            except StatementFailed as error:
                self._note(error)

    def _expire(self) -> None:
        before = {snapshot.snapshot_id for snapshot in self.table.load().metadata.snapshots}
        self._call("expire_snapshots", f"older_than => {_PAST_EVERYTHING}, retain_last => 1")
        self.expired += len(before - {snapshot.snapshot_id for snapshot in self.table.load().metadata.snapshots})

    def _note(self, refusal: StatementFailed) -> None:
        self.refused += 1
        self.last_refusal = str(refusal)[:500]

    def _call(self, procedure: str, arguments: str) -> list[Row]:
        catalog, name = self.spark.name_of(self.table).split(".", 1)
        return self.spark.sql(f"CALL {catalog}.system.{procedure}(table => '{name}', {arguments})")
