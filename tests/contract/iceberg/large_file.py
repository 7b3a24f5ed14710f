"""A large data file on S3, and a client of S3 that counts the bytes read of it.

Usage: python -m tests.contract.iceberg.large_file FOLDER MEGABYTES
"""

from __future__ import annotations

import io
import json
import random
import resource
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask, Table
from pyiceberg.typedef import Record

from catalog_config.connect import CONNECT_TIMEOUT, READ_TIMEOUT, REGION
from lambda_fn.aws.s3_file_io import S3FileIO
from lambda_fn.iceberg import row_scan
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.sale import Sale, SaleKey
from tests.builders import sale
from tests.tables import provisioned, sqlite_config

NUMBERS = 1024
ROWS_OF_BATCH = 500
MEGABYTE = 1024 * 1024


class LargeFile(S3FileIO):
    """The file of a table on a client of S3 that reads from a folder. ``read`` are the sizes of the ranges read."""

    def __init__(self, path: Path) -> None:
        super().__init__({REGION: "eu-west-1", CONNECT_TIMEOUT: "1", READ_TIMEOUT: "1"})
        self._client = self  # type: ignore[assignment]
        self.path = path
        self.read: list[int] = []

    def get_object(self, Range: str, **_arguments: Any) -> dict[str, Any]:  # noqa: N803
        size = self.path.stat().st_size
        first, _, last = Range.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, size - int(last))
        stop = min(int(last) + 1, size) if first else size
        with self.path.open("rb") as file:
            file.seek(start)
            content = file.read(stop - start)
        self.read.append(len(content))
        return {"Body": io.BytesIO(content), "ContentRange": f"bytes {start}-{stop - 1}/{size}"}

    def looked_up(self, table: Table, *sale_ids: str) -> set[SaleKey]:
        """Look sales up that have their row in this file, if anywhere. The table's other files are not read."""
        table.io = self
        data_file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=f"s3://bucket/{self.path.name}",
            file_format=FileFormat.PARQUET,
            partition=Record("tenant", 2001, 1),
            record_count=pq.read_metadata(self.path).num_rows,
            file_size_in_bytes=self.path.stat().st_size,
        )
        data_file.spec_id = 0
        self.read.clear()
        (part,) = row_scan.plan(table, (), [of(sale_id) for sale_id in sale_ids])
        return row_scan.present(table, replace(part, files=[FileScanTask(data_file)]))


def of(sale_id: str, embedding: array[float] | None = None) -> Sale:
    return sale(sale_id=sale_id, tenant_id="tenant", sold_date=date(2001, 1, 5), embedding=embedding)


def write(path: Path, table: Table, megabytes: int, row_group_megabytes: int) -> list[str]:
    """Write a file as Spark does: rows in row groups of a size. Return the sale ids, which ascend through the file."""
    numbers = random.Random(1)
    vectors = [array("f", [numbers.random() for _ in range(NUMBERS)]) for _ in range(ROWS_OF_BATCH)]
    batch = arrow_table([of("a", vector) for vector in vectors], table.schema())
    sale_id = batch.schema.get_field_index("sale_id")
    rows = row_group_megabytes * MEGABYTE // (NUMBERS * 4) // ROWS_OF_BATCH * ROWS_OF_BATCH
    ids: list[str] = []
    with pq.ParquetWriter(path, batch.schema, compression="zstd", use_dictionary=["tenant_id", "year"]) as writer:
        while len(ids) * NUMBERS * 4 < megabytes * MEGABYTE:
            group = list(_ids(len(ids), rows, numbers))
            ids += group
            parts = (
                pa.array(group[at : at + ROWS_OF_BATCH], pa.large_string()) for at in range(0, rows, ROWS_OF_BATCH)
            )
            field = batch.schema.field(sale_id)
            writer.write_table(pa.concat_tables(batch.set_column(sale_id, field, part) for part in parts), rows)
    return ids


def _ids(start: int, count: int, numbers: random.Random) -> Iterator[str]:
    return (
        f"SALE-{1_767_052_800_000 + number}-{numbers.getrandbits(32):08x}" for number in range(start, start + count)
    )


def main(folder: Path, megabytes: int) -> None:
    """Write a file in a first call. In a second, print what looking one sale up reads, and its peak of memory."""
    path, ids = folder / f"{megabytes}.parquet", folder / f"{megabytes}.json"
    table = provisioned(sqlite_config(folder / "lake")).load()
    if not path.exists():
        ids.write_text(json.dumps(write(path, table, megabytes, 128)[::1000]))
        return
    file = LargeFile(path)
    written = json.loads(ids.read_text())
    row_scan.plan(table, (), [of("a")])
    from pyiceberg.io.pyarrow import ArrowScan  # noqa: F401, PLC0415

    for sale_id in ("A", written[len(written) // 2], written[0][:-1]):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = file.looked_up(table, sale_id)
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(sale_id, len(found), "read", file.read, sum(file.read) / MEGABYTE, "MB; peak", peak, "MB")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
