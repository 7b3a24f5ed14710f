"""Shows how fast each brand sells: the share of its sales within 7, 14, 30, ... days of the listing.

    spark-submit sold_within_days.py --table sales.pricing_intelligence.sales_history \
        --tenant carousel-labs --since 2025-01

Reads the partitions of one tenant, from one month on. README.md has the properties of the catalog.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F


def sold_within_days(sales: DataFrame, days: Sequence[int]) -> DataFrame:
    """Return a row for each brand: how many of its sales state their days to sell, and the curve in percent.

    The curve has a column for each number of days. The table contains sales only: a product that is still listed is
    not part of it.
    """
    known = sales.where(F.col("days_to_sell").isNotNull())
    shares = [
        F.round(100 * F.avg((F.col("days_to_sell") <= number).cast("int")), 1).alias(f"within_{number}_days")
        for number in days
    ]
    return known.groupBy("brand").agg(F.count("*").alias("sales"), *shares).orderBy(F.desc("sales"), "brand")


def since(sales: DataFrame, month: str) -> DataFrame:
    """Return the sales of a month, such as "2025-01", and of the months after it. Other partitions are not read."""
    year, number = (int(part) for part in month.split("-"))
    return sales.where((F.col("year") > year) | ((F.col("year") == year) & (F.col("month") >= number)))


def main() -> None:
    """Run the job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="CATALOG.NAMESPACE.TABLE")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--since", required=True, metavar="MONTH", help="the first month, such as 2025-01")
    parser.add_argument("--days", type=int, nargs="+", default=[7, 14, 30, 60, 90, 180], help="the points of the curve")
    parser.add_argument("--output", metavar="FOLDER", help="write CSV here instead of printing")
    options, _ = parser.parse_known_args()  # Glue adds arguments of its own.
    spark = SparkSession.builder.appName("sold within days").getOrCreate()
    sales = spark.table(options.table).where(F.col("tenant_id") == options.tenant)
    found = sold_within_days(since(sales, options.since), options.days)
    if options.output:
        found.coalesce(1).write.csv(options.output, mode="overwrite", header=True)
    else:
        found.show(1000, truncate=False)


if __name__ == "__main__":
    main()
