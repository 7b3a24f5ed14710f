"""Stores past sales from JSON lines or Parquet in the Iceberg table, through Spark (docs/backfill.md)."""

from __future__ import annotations

import argparse
import json
import os
import sys

from carousel_sync.backfill.spark.job import LEASE_SECONDS, SALES_PER_CHUNK, SESSION_OPTIONS, Backfill, Options
from lambda_fn.errors import CarouselSyncError
from lambda_fn.settings import Settings
from pyspark.sql import SparkSession


def main() -> int:
    """Run the job. Returns 0 if every record is stored, 1 if some were rejected or are not stored yet, 2 for errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", help="files or folders")
    parser.add_argument("--output", required=True, help="a folder for rejected records and for temporary files")
    parser.add_argument("--table", required=True, help="the table in Spark: CATALOG.pricing_intelligence.sales_history")
    parser.add_argument("--parquet", action="store_true", help="the files are Parquet; default: JSON lines")
    parser.add_argument("--time", dest="event_time", help="event time of records without one: 2026-01-31T00:00:00Z")
    parser.add_argument("--sales-per-chunk", type=int, default=SALES_PER_CHUNK, help="sales in one MERGE")
    parser.add_argument("--lease-seconds", type=float, default=LEASE_SECONDS, help="how long claims are held")
    options = Options(**vars(parser.parse_args()))
    builder = SparkSession.builder.appName("carousel-sync backfill")
    for name, value in SESSION_OPTIONS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        report = Backfill(
            spark, Settings.from_environment(os.environ), options, lambda text: print(text, flush=True)
        ).run()
    except CarouselSyncError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(report.as_json()), flush=True)
    return 0 if report.complete else 1


if __name__ == "__main__":
    sys.exit(main())
