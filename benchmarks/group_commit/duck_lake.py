"""DuckLake: small batches go into its catalog database, and into Parquet files only later (data inlining)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Final

import duckdb

INLINED_ROWS: Final = 1_000
"""Inserts of fewer rows are inlined."""
MAX_RETRIES: Final = 1_000
_INSERT: Final = "INSERT INTO lake.sales SELECT $1 || range, 12.5, DATE '2026-03-14' FROM range($2)"
_PACKAGE: Final = "duckdb_extension_ducklake"


class DuckLake:
    """A lake in a folder, with a table of the columns that the query reads. Closing the context closes the database."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        extension = resources.files(_PACKAGE) / "extensions" / f"v{duckdb.__version__}" / "ducklake.duckdb_extension"
        self._database = duckdb.connect(
            config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        )
        self._database.execute(f"LOAD '{extension}'")
        options = f"DATA_PATH '{folder / 'data'}', DATA_INLINING_ROW_LIMIT {INLINED_ROWS}"
        self._database.execute(f"ATTACH 'ducklake:{folder / 'catalog.ducklake'}' AS lake ({options})")
        self._database.execute(f"SET ducklake_max_retry_count = {MAX_RETRIES}")
        self._database.execute("CREATE TABLE lake.sales (sale_id VARCHAR, sold_price DECIMAL(12, 4), sold_date DATE)")

    def __enter__(self) -> DuckLake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def write(self, workers: int, batches: int, rows: int, seconds: float) -> tuple[float, int]:
        """Let the workers insert so many batches, or for so long. Returns the batches per second, and how many."""
        start = time.monotonic()

        def insert(numbers: Sequence[int]) -> int:
            connection, done = self._database.cursor(), 0
            for number in numbers:
                if time.monotonic() - start >= seconds:
                    break
                connection.execute(_INSERT, [f"SALE-{number}-", rows])
                done += 1
            return done

        with ThreadPoolExecutor(workers) as threads:
            written = sum(threads.map(insert, [range(worker, batches, workers) for worker in range(workers)]))
        return written / (time.monotonic() - start), written

    def rows(self) -> int:
        """Return the number of rows."""
        return self._number("SELECT count(*) FROM lake.sales")

    def snapshots(self) -> int:
        """Return the number of snapshots."""
        return self._number("SELECT count(*) FROM ducklake_snapshots('lake')")

    def query_milliseconds(self) -> float:
        """Count all rows and add up a column, and return how long it took."""
        started = time.perf_counter()
        self._database.execute("SELECT count(*), sum(sold_price) FROM lake.sales").fetchall()
        return (time.perf_counter() - started) * 1000

    def _number(self, query: str) -> int:
        found = self._database.execute(query).fetchone()
        assert found is not None
        return int(found[0])
