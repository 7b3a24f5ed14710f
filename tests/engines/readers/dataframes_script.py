"""Reads an Iceberg table with a dataframe library, and writes its rows to an Arrow file.

It runs in the environment ``.tools/dataframes``, which has nothing of this project:

    python dataframes_script.py OPTIONS

OPTIONS is a JSON document: library, metadata_location, snapshot_id, endpoint, region, access_key, secret_key, output.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pyarrow as pa
from pyiceberg.table import StaticTable


def read_with_polars(table: StaticTable, options: dict[str, Any]) -> pa.Table:
    """Read all rows with Polars' own reader of Parquet files."""
    import polars  # noqa: PLC0415 (one library per process)

    storage = {
        "aws_endpoint_url": options["endpoint"],
        "aws_region": options["region"],
        "aws_access_key_id": options["access_key"],
        "aws_secret_access_key": options["secret_key"],
        "aws_allow_http": "true",
    }
    frame = polars.scan_iceberg(
        table, snapshot_id=options["snapshot_id"], storage_options=storage, reader_override="native"
    )
    return frame.collect().to_arrow()


def read_with_daft(table: StaticTable, options: dict[str, Any]) -> pa.Table:
    """Read all rows with Daft."""
    import daft  # noqa: PLC0415
    from daft.io import IOConfig, S3Config  # noqa: PLC0415

    s3 = S3Config(
        endpoint_url=options["endpoint"],
        region_name=options["region"],
        key_id=options["access_key"],
        access_key=options["secret_key"],
        use_ssl=False,
    )
    frame = daft.read_iceberg(table, snapshot_id=options["snapshot_id"], io_config=IOConfig(s3=s3))
    return frame.to_arrow()


def main(options: dict[str, Any]) -> None:
    """Read the table and write the file."""
    files = {
        "s3.endpoint": options["endpoint"],
        "s3.region": options["region"],
        "s3.access-key-id": options["access_key"],
        "s3.secret-access-key": options["secret_key"],
    }
    table = StaticTable.from_metadata(options["metadata_location"], files)
    read = {"polars": read_with_polars, "daft": read_with_daft}[options["library"]]
    rows = read(table, options)
    with pa.OSFile(options["output"], "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
