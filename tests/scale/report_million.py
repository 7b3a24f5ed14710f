"""``python -m tests.scale.report_million``: time, memory and page size of a report of a million sales.

The Iceberg table consists of real files behind a SQLite catalog: eight tenants, six categories with eight brands each,
two currencies, and a year of sales, all of which are in the period. The report runs in its own process, with two
threads. Its peak memory includes the interpreter and all libraries.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from carousel_sync.explore.duckdb_table import open_table
from carousel_sync.report.disclosure import Rules
from carousel_sync.report.page import html
from carousel_sync.report.period import Period
from carousel_sync.report.produce import Wanted, produce_from
from lambda_fn.iceberg.arrow_schema import arrow_schema
from tests.tables import TableUnderTest, provisioned, sqlite_config

SALES: Final = 1_000_000
SALES_A_COMMIT: Final = 250_000
LIMITS: Final = {"seconds": 15.0, "peak_bytes": 1024**3, "page_bytes": 3_000_000}
YEAR: Final = Period(date(2025, 1, 1), date(2025, 12, 31))

# Every value is derived from the number of the sale, so that each run has the same sales.
_GENERATED: Final = """
SELECT
  'tenant-' || hash(i) % 8 AS tenant_id, 'product-' || i AS product_id, 'sale-' || i AS sale_id,
  'category-' || hash(i * 3) % 6 AS category, 'brand-' || hash(i * 5) % 8 AS brand,
  CAST(1 + hash(i * 7) % 1000000 / 100.0 AS DECIMAL(18, 4)) AS sold_price,
  CAST(20000 AS DECIMAL(18, 4)) AS listed_price, CAST(hash(i * 11) % 60 AS DOUBLE) AS discount_percent,
  CASE WHEN hash(i * 13) % 4 = 0 THEN 'USD' ELSE 'EUR' END AS currency,
  DATE '2025-01-01' + CAST(hash(i * 17) % 365 AS INTEGER) AS sold_date,
  CAST(hash(i * 19) % 120 AS INTEGER) AS days_to_sell, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS ingestion_timestamp
FROM range($first, $last) AS numbers(i)
"""


def build(folder: Path, count: int) -> str:
    """Create the table and return its namespace."""
    created = provisioned(sqlite_config(folder))
    table = created.load()
    with closing(duckdb.connect()) as connection:
        for first in range(0, count, SALES_A_COMMIT):
            last = min(first + SALES_A_COMMIT, count)
            sql = f"SELECT *, year(sold_date) AS year, month(sold_date) AS month, 'Q' || quarter(sold_date) AS season FROM ({_GENERATED})"  # noqa: S608, E501
            rows = connection.execute(sql, {"first": first, "last": last}).to_arrow_table()
            table.append(_of_schema(rows, arrow_schema(table.schema())))
    return created.namespace


def _of_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the rows with all columns of the table. Required texts that the report does not read are empty."""
    arrays = []
    for field in schema:
        if field.name in rows.column_names:
            arrays.append(rows[field.name].cast(field.type))
        elif field.nullable:
            arrays.append(pa.nulls(rows.num_rows, field.type))
        else:
            arrays.append(pa.array([""] * rows.num_rows).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def measure(folder: Path, namespace: str) -> dict[str, Any]:
    """Make the report in this process and return its figures."""
    table = TableUnderTest(sqlite_config(folder), namespace).load()
    started = time.monotonic()
    with closing(open_table(table.metadata_location)) as connection:
        connection.execute("SET threads = 2")
        report = produce_from(connection, table, Wanted(YEAR, Rules()), lambda _: None)
    computed = time.monotonic() - started
    page = html(report)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.monotonic() - started,
        "seconds_to_figures": computed,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "page_bytes": len(page.encode()),
    }


def _child(task: str, folder: str, namespace: str, count: int) -> str:
    arguments = ["--in-child", task, folder, namespace, "--sales", str(count)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.scale.report_million", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def main() -> int:
    """Run from the command line. The exit code is 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=SALES)
    parser.add_argument("--in-child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_child:
        task, folder, namespace = options.in_child
        done = build(Path(folder), options.sales) if task == "build" else json.dumps(measure(Path(folder), namespace))
        print(done)  # noqa: T201
        return 0
    with tempfile.TemporaryDirectory(prefix="report-million-") as folder:
        namespace = _child("build", folder, "", options.sales)
        figures = json.loads(_child("measure", folder, namespace, options.sales))
    print(  # noqa: T201
        f"{options.sales:,} sales: {figures['seconds']:.1f} s ({figures['seconds_to_figures']:.1f} s to the figures), "
        f"{figures['cpu_seconds']:.1f} s of CPU, peak memory {figures['peak_bytes'] / 1024**2:,.0f} MiB, "
        f"page {figures['page_bytes'] / 1e6:.2f} MB"
    )
    return int(any(figures[name] >= limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
