"""The sort order that a data file states, on every catalog: the function does not sort its rows."""

from __future__ import annotations

from pyiceberg.table.sorting import UNSORTED_SORT_ORDER_ID

from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from tests.builders import sale
from tests.tables import TableUnderTest


def test_every_file_states_that_it_is_not_sorted(table: TableUnderTest) -> None:
    """Trino 476 fails to read the entries of a file without a sort order id (trinodb/trino, issue 29211)."""
    deadline = Deadline.after(SystemClock(), 120)
    assert table.writer().begin(1, deadline).append([sale(sale_id="a")], (), deadline) == Landed(1)
    (task,) = table.load().scan().plan_files()
    assert task.file.sort_order_id == UNSORTED_SORT_ORDER_ID
    assert table.load().sort_order().order_id != UNSORTED_SORT_ORDER_ID, "the table itself has a sort order"
