"""``carousel-sync dedupe``: leaves one row of a sale that the Iceberg table has more than once.

The rows go and the one that is kept comes in a single commit, a compare-and-set on the head that was read: at no moment
does a reader see two rows, or none. Nothing is committed twice by a repeat: where one row is left, there is nothing to
do. A writer's attempts stay decidable, because the snapshots before stay in the table's history.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, cast

import pyarrow as pa
import typer
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import And, BooleanExpression, EqualTo
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import AssertTableUUID
from rich.table import Table as TextTable
from rich.text import Text

from carousel_sync.aws.target import CATALOG_FAILURES, Target, resolve
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    EXIT_FAILED,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.consistency.verify import readable_file_errors
from catalog_config.pyiceberg_internals import pending_commit
from lambda_fn.errors import CarouselSyncError, StoreUnavailable
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.sale import SaleKey

INGESTED: Final = "ingestion_timestamp"
TRY_SECONDS: Final = 60.0
LONGEST_TEXT: Final = 60

# pyiceberg's type hints describe the models behind this, not the arguments that its documentation gives it.
_equal: Final[Callable[[str, Any], BooleanExpression]] = cast("Any", EqualTo)


class RowsDiffer(CarouselSyncError):
    """The rows tell different facts, and nobody said which of them to keep."""


@dataclass(frozen=True)
class Doubled:
    """The rows of a sale, the one that was ingested first before the others, and the columns in which they differ."""

    rows: pa.Table
    differing: Sequence[str]

    @property
    def number(self) -> int:
        """How many rows there are."""
        return int(self.rows.num_rows)

    @property
    def alike(self) -> bool:
        """Whether the rows tell the same facts; when an event was ingested is none."""
        return not set(self.differing) - {INGESTED}

    def as_json(self) -> list[dict[str, Any]]:
        """Return of each row what tells it from the others."""
        names = [INGESTED, *(name for name in self.differing if name != INGESTED)]
        rows: list[dict[str, Any]] = self.rows.select(names).to_pylist()
        return [{"number": number, **row} for number, row in enumerate(rows, start=1)]


def dedupe(
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="The sale's tenant.")],
    sale_id: Annotated[str, typer.Argument(metavar="SALE", help="The sale's id.")],
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Number of the row to keep, where the rows tell different facts."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this the rows are only shown.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Leave one row of a sale that the Iceberg table has more than once.

    Safe while sales are being processed, and to repeat. Exit code 0 when one row is left, or there was only one.
    """
    key = SaleKey(tenant_id, sale_id)
    with readable_errors(), readable_file_errors():
        target = resolve(stage, local)
        with working_on(f"Looking for the rows of {tenant_id}/{sale_id}"):
            found = rows_of(target.load_table(), key)
        if not as_json:
            _show(found)
        if yes and found.number > 1:
            with working_on("Rewriting the files that hold them"):
                leave_one(target, key, keep, found.number)
    done = yes or found.number <= 1
    if as_json:
        print_json({"rows": found.as_json(), "differing": sorted(found.differing), "alike": found.alike, "done": done})
    elif yes and found.number > 1:
        stdout.print("One row is left. Look at its look-up item, too: carousel-sync verify --repair")
    elif not done:
        stderr.print(f"Nothing was changed. To leave one row, add --yes{'' if found.alike else ' and --keep NUMBER'}.")
    if not done:
        raise typer.Exit(EXIT_FAILED)


def rows_of(table: Table, key: SaleKey) -> Doubled:
    """Read the rows of a sale, every column of them."""
    rows = table.scan(_of(key)).to_arrow()
    listed = rows.to_pylist()
    order = sorted(range(len(listed)), key=lambda number: (listed[number][INGESTED], repr(listed[number])))
    differing = [name for name in rows.column_names if any(row[name] != listed[0][name] for row in listed)]
    return Doubled(rows.take(pa.array(order, pa.int64())), differing)


def leave_one(target: Target, key: SaleKey, keep: int | None = None, shown: int | None = None) -> None:
    """Leave one row: the one that was ingested first, or the one to keep by its number among those that were shown.

    Raises RowsDiffer when the rows tell different facts and none is named, and StoreUnavailable when no commit is known
    to have taken effect in time; one that was sent may take effect late, and then leaves one row, too.
    """
    retry, clock = Retry(SystemClock(), random.Random()), SystemClock()  # noqa: S311 - spreads retries
    last: Exception | None = None
    for _ in retry.tries(Deadline.after(clock, TRY_SECONDS), 0.0):
        table = target.load_table()
        found = rows_of(table, key)
        if found.number <= 1:
            return
        if not found.alike and (keep is None or keep > found.number or shown not in (None, found.number)):
            raise RowsDiffer(
                f"The rows of {key.tenant_id}/{key.sale_id} tell different facts "
                f"({', '.join(sorted(set(found.differing) - {INGESTED}))}). Nothing was changed. Say which of the "
                f"{found.number} to keep: --keep NUMBER"
            )
        row = found.rows.slice((keep or 1) - 1, 1)
        try:
            _commit(table, key, row)
        except (CommitFailedException, *CATALOG_FAILURES) as error:
            last = error
    raise StoreUnavailable(
        f"The table was changed by others at every try, or the catalog refused: {last}. One more commit may take "
        "effect late; it leaves one row, too. Run the command again."
    )


def _commit(table: Table, key: SaleKey, row: pa.Table) -> None:
    """Replace all rows of the sale by one, in one compare-and-set on the head that was read.

    The library's own commit would try again by itself, and delete the files of a commit whose fate it only believes to
    know.
    """
    transaction = Transaction(table, autocommit=False)
    transaction.overwrite(row, _of(key))
    requirements, updates = pending_commit(transaction)
    table.catalog.commit_table(table, (*requirements, AssertTableUUID(uuid=table.metadata.table_uuid)), updates)


def _of(key: SaleKey) -> BooleanExpression:
    return And(_equal("tenant_id", key.tenant_id), _equal("sale_id", key.sale_id))


def _show(found: Doubled) -> None:
    if found.number <= 1:
        stdout.print(f"The table has {found.number} row{'' if found.number else 's'} of the sale: nothing to do.")
        return
    what = "tell the same" if found.alike else "differ"
    stdout.print(f"The table has {found.number} rows of the sale, which {what}:", highlight=False)
    listed = found.as_json()
    # A column for each row: they are two as a rule, and differ in twenty columns perhaps.
    table = TextTable("")
    for row in listed:
        table.add_column(f"Row {row['number']}", overflow="fold")
    for name in list(listed[0])[1:]:
        table.add_row(name, *(Text(_text(row[name])) for row in listed))
    stdout.print(table, highlight=False)


def _text(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."
