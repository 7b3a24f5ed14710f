"""Shows whether vendors come back: of those that first sold in a month, how many sold again N months later.

    spark-submit vendor_cohorts.py --table sales.pricing_intelligence.sales_history --tenant carousel-labs

Reads every partition of one tenant, because a vendor's first sale may be in any of them. README.md has the properties
of the catalog.
"""

from __future__ import annotations

import argparse

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F


def vendor_cohorts(sales: DataFrame, months: int) -> DataFrame:
    """Return a row for each month in which vendors sold for the first time.

    ``vendors`` is their number, and ``after_N`` the number of those that sold in the N-th month after it, up to
    ``months``. A sale without a vendor_id is not counted.
    """
    month = F.col("year") * 12 + F.col("month") - 1
    active = sales.where(F.col("vendor_id").isNotNull()).select("vendor_id", month.alias("month")).distinct()
    first = active.groupBy("vendor_id").agg(F.min("month").alias("first"))
    after = (F.col("month") - F.col("first")).alias("after")
    return (
        active.join(first, "vendor_id")
        .select("first", after)
        .groupBy("first")
        .pivot("after", list(range(months + 1)))
        .count()
        .na.fill(0)
        .orderBy("first")
        .select(
            F.format_string("%04d-%02d", (F.col("first") / 12).cast("int"), F.col("first") % 12 + 1).alias("cohort"),
            F.col("0").alias("vendors"),
            *(F.col(str(number)).alias(f"after_{number}") for number in range(1, months + 1)),
        )
    )


def main() -> None:
    """Run the job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="CATALOG.NAMESPACE.TABLE")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--months", type=int, default=12, help="how many months to follow each cohort")
    parser.add_argument("--output", metavar="FOLDER", help="write CSV here instead of printing")
    options, _ = parser.parse_known_args()  # Glue adds arguments of its own.
    spark = SparkSession.builder.appName("vendor cohorts").getOrCreate()
    sales = spark.table(options.table).where(F.col("tenant_id") == options.tenant)
    found = vendor_cohorts(sales, options.months)
    if options.output:
        found.coalesce(1).write.csv(options.output, mode="overwrite", header=True)
    else:
        found.show(1000, truncate=False)


if __name__ == "__main__":
    main()
