"""Which sales an Iceberg table holds after a run."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow.parquet as pq
from pyiceberg.table import Table

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
