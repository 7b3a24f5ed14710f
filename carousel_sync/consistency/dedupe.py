"""Keeps one row of a sale that the Iceberg table has more than once.

A single commit removes all rows of the sale and writes the one that is kept. It is a compare-and-set on the head that
was read, so no reader ever sees two rows, or none, and a repeat has nothing to do. Attempts of writers can still be
judged afterwards, because earlier snapshots stay in the table's history.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import And, BooleanExpression, EqualTo
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import AssertTableUUID

from carousel_sync.aws.target import CATALOG_FAILURES, Target
from catalog_config.pyiceberg_internals import pending_commit
from lambda_fn.errors import CarouselSyncError, StoreUnavailable
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.sale import SaleKey

INGESTED: Final = "ingestion_timestamp"
TRY_SECONDS: Final = 60.0

# pyiceberg's type hints describe the models behind this, not the arguments that its documentation gives it.
_equal: Final[Callable[[str, Any], BooleanExpression]] = cast("Any", EqualTo)


class RowsDiffer(CarouselSyncError):
    """The rows have different facts, and the caller did not choose one of them."""


@dataclass(frozen=True)
class SaleRows:
    """The rows of a sale in the order of their ingestion, and the names of the columns in which they differ."""

    rows: pa.Table
    differing: Sequence[str]

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(self.rows.num_rows)

    @property
    def have_same_facts(self) -> bool:
        """Whether the rows differ at most in when they were ingested."""
        return not set(self.differing) - {INGESTED}

    def as_json(self) -> list[dict[str, Any]]:
        """Return the number of each row, from 1, with the columns in which it differs from the others."""
        names = [INGESTED, *(name for name in self.differing if name != INGESTED)]
        rows: list[dict[str, Any]] = self.rows.select(names).to_pylist()
        return [{"number": number, **row} for number, row in enumerate(rows, start=1)]


def rows_of(table: Table, key: SaleKey) -> SaleRows:
    """Read all columns of the rows of a sale."""
    rows = table.scan(_is_sale(key)).to_arrow()
    listed = rows.to_pylist()
    order = sorted(range(len(listed)), key=lambda number: (listed[number][INGESTED], repr(listed[number])))
    differing = [name for name in rows.column_names if any(row[name] != listed[0][name] for row in listed)]
    return SaleRows(rows.take(pa.array(order, pa.int64())), differing)


def keep_one_row(target: Target, key: SaleKey, number: int | None = None, shown: int | None = None) -> None:
    """Keep the row with this number, by default the one that was ingested first, and remove the others.

    ``shown`` is how many rows there were when the caller chose the number. Raises RowsDiffer when the rows have
    different facts and no valid number was given. Raises StoreUnavailable when no commit is known to have taken effect
    in time; a commit that was sent may still take effect, and also leaves one row.
    """
    retry, clock = Retry(SystemClock(), random.Random()), SystemClock()  # noqa: S311 - spreads retries
    last: Exception | None = None
    for _ in retry.tries(Deadline.after(clock, TRY_SECONDS), 0.0):
        table = target.load_table()
        found = rows_of(table, key)
        if found.count <= 1:
            return
        if not found.have_same_facts and (number is None or number > found.count or shown not in (None, found.count)):
            raise RowsDiffer(
                f"The rows of {key.tenant_id}/{key.sale_id} have different facts "
                f"({', '.join(sorted(set(found.differing) - {INGESTED}))}). Nothing was changed. Choose which of the "
                f"{found.count} rows to keep: --keep NUMBER"
            )
        try:
            _replace_rows(table, key, found.rows.slice((number or 1) - 1, 1))
        except (CommitFailedException, *CATALOG_FAILURES) as error:
            last = error
    raise StoreUnavailable(
        f"No commit succeeded in {TRY_SECONDS:.0f} s, because of other writers or because the catalog refused: {last}. "
        "The last commit may still take effect; it also leaves one row. Run the command again."
    )


def _replace_rows(table: Table, key: SaleKey, row: pa.Table) -> None:
    """Replace all rows of the sale with one, in a single compare-and-set on the head that was read.

    pyiceberg's own commit would retry by itself, and would delete the files of a commit whose outcome it can't know.
    """
    transaction = Transaction(table, autocommit=False)
    transaction.overwrite(row, _is_sale(key))
    requirements, updates = pending_commit(transaction)
    table.catalog.commit_table(table, (*requirements, AssertTableUUID(uuid=table.metadata.table_uuid)), updates)


def _is_sale(key: SaleKey) -> BooleanExpression:
    return And(_equal("tenant_id", key.tenant_id), _equal("sale_id", key.sale_id))
