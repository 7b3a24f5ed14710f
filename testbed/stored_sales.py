"""What an Iceberg table holds after a run: which sales, and how many attempts each snapshot has landed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow.parquet as pq
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from lambda_fn.iceberg.history import snapshot_node

_READERS: Final = 8


def rows_of_sales(table: Table) -> Counter[str]:
    """Return the number of rows by sale id."""

    def sale_ids(path: str) -> list[str]:
        with table.io.new_input(path).open() as stream:
            column: list[str] = pq.read_table(stream, columns=["sale_id"])["sale_id"].to_pylist()
            return column

    paths = [task.file.file_path for task in table.scan().plan_files()]
    with ThreadPoolExecutor(_READERS) as threads:
        return Counter(sale_id for read in threads.map(sale_ids, paths) for sale_id in read)


def group_sizes(table: Table) -> Counter[int]:
    """Return the number of snapshots that added sales, by the number of attempts that they landed."""
    return Counter(_group_sizes(table))


def _group_sizes(table: Table) -> Iterator[int]:
    for snapshot in table.metadata.snapshots:
        if snapshot.summary is not None and snapshot.summary.operation is Operation.APPEND:
            properties = snapshot.summary.additional_properties
            yield 1 + len(snapshot_node(snapshot.snapshot_id, None, 0, properties).landed)
