"""Stores past sales from JSON lines or Parquet in the Iceberg table, through Spark 4 with Iceberg 1.11 or later.

    spark-submit OPTIONS backfill.py --table sales.pricing_intelligence.sales_history
        --source s3://BUCKET/history/ --output s3://BUCKET/backfill/2026-01

The driver reads the function's environment: STAGE, AWS_REGION, TABLE_BUCKET_ARN, GUARD_TABLE, PROJECTION_TABLE and
DEAD_LETTER_QUEUE_URL. OPTIONS contains the properties of Spark's catalog, here "sales":

- S3 Tables REST: type=rest, uri=https://s3tables.REGION.amazonaws.com/iceberg, warehouse=TABLE_BUCKET_ARN,
  rest.auth.type=sigv4, rest.auth.sigv4.delegate-auth-type=none, rest.signing-name=s3tables, rest.signing-region=REGION
- Glue: type=rest, uri=https://glue.REGION.amazonaws.com/iceberg, warehouse=ACCOUNT:s3tablescatalog/TABLE_BUCKET,
  rest.auth.type=sigv4, rest.auth.sigv4.delegate-auth-type=none, rest.signing-name=glue, rest.signing-region=REGION
- both: io-impl=org.apache.iceberg.aws.s3.S3FileIO, client.region=REGION, cache-enabled=false

docs/backfill.md has complete commands for EMR Serverless and AWS Glue. Repeat the command after any interruption.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from pyspark.sql import SparkSession

from carousel_sync.backfill.spark.job import LEASE_SECONDS, SALES_PER_CHUNK, SESSION_OPTIONS, Backfill, Options
from lambda_fn.errors import CarouselSyncError
from lambda_fn.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Run the job. Returns 0 if every record is stored, 1 if some were rejected or are not stored yet, 2 for errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, action="append", help="a file, a folder or a pattern of files")
    parser.add_argument("--output", required=True, help="a folder of its own for rejected records and temporary files")
    parser.add_argument("--table", required=True, help="the table in Spark: CATALOG.pricing_intelligence.sales_history")
    parser.add_argument("--format", choices=("jsonl", "parquet"), default="jsonl", help="of the files; default: jsonl")
    parser.add_argument("--time", help="event time of records without one: 2026-01-31T00:00:00Z")
    parser.add_argument("--sales-per-chunk", type=int, default=SALES_PER_CHUNK, help="sales in one MERGE")
    parser.add_argument("--lease-seconds", type=float, default=LEASE_SECONDS, help="how long claims are held")
    given, ignored = parser.parse_known_args(arguments)
    if ignored:
        print("Ignored, as arguments of the service:", *ignored, flush=True)  # Glue adds arguments of its own.
    options = Options(
        sources=given.source,
        output=given.output,
        table=given.table,
        parquet=given.format == "parquet",
        event_time=given.time,
        sales_per_chunk=given.sales_per_chunk,
        lease_seconds=given.lease_seconds,
    )
    builder = SparkSession.builder.appName("carousel-sync backfill")
    for name, value in SESSION_OPTIONS.items():
        builder = builder.config(name, value)
    try:
        settings = Settings.from_environment(os.environ)
        report = Backfill(builder.getOrCreate(), settings, options, lambda text: print(text, flush=True)).run()
    except CarouselSyncError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(report.as_json()), flush=True)
    return 0 if report.complete else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
