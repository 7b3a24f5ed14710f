"""Finds the sales of a tenant that are most similar to a given one, by the cosine similarity of their embeddings.

    spark-submit nearest_sales.py --table sales.pricing_intelligence.sales_history \
        --tenant carousel-labs --sale SALE-1767052800000-abcd1234

Reads the embeddings of one tenant and compares every one of them, in double precision. For one answer about a table
that fits on one machine, `carousel-sync sales --similar-to` needs no cluster. README.md has the properties of the
catalog.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

SHOWN = ("sale_id", "sold_date", "product_id", "category", "brand", "sold_price", "currency")


class NotComparable(Exception):
    """There is nothing that the sale could be compared by, or with."""


def nearest_sales(sales: DataFrame, sale_id: str, limit: int) -> DataFrame:
    """Return the sales that are nearest to one of them, at most ``limit``, without that sale itself.

    ``sales`` are those of one tenant. Embeddings of another dimension are left out, and so are those that contain only
    zeros, which have no direction. Raises NotComparable.
    """
    others = sales.where(F.col("sale_id") != sale_id).where(F.col("embedding_vector").isNotNull())
    vector = _embedding(sales, sale_id)
    dimensions = {row[0] for row in others.select("embedding_dimension").distinct().collect()}
    if dimensions and len(vector) not in dimensions:
        raise NotComparable(
            f"The embedding of sale {sale_id!r} has dimension {len(vector)}, and those of all other sales of the "
            f"tenant have another: {', '.join(map(str, sorted(dimensions)))}. They can't be compared."
        )
    given, own = F.lit([float(value) for value in vector]), F.col("embedding_vector").cast("array<double>")
    length = F.sqrt(_product(own, own))
    similarity = _product(own, given) / length / F.lit(math.sqrt(math.fsum(value * value for value in vector)))
    return (
        others.where(F.size("embedding_vector") == len(vector))
        .where(length > 0)
        .select(similarity.alias("similarity"), *SHOWN)
        .orderBy(F.desc("similarity"), "sale_id")
        .limit(limit)
    )


def _product(left: Column, right: Column) -> Column:
    """Return the sum of the products of two arrays' elements.

    These functions run in the JVM, so that the cluster needs no Python package. A Python function over Arrow batches
    with NumPy takes as long: reading the vectors is most of the work.
    """
    return F.aggregate(F.zip_with(left, right, lambda one, other: one * other), F.lit(0.0), lambda sum_, x: sum_ + x)


def _embedding(sales: DataFrame, sale_id: str) -> Sequence[float]:
    rows = sales.where(F.col("sale_id") == sale_id).select("embedding_vector").take(2)
    if not rows:
        raise NotComparable(f"The tenant has no sale {sale_id!r} in the Iceberg table.")
    if len(rows) > 1:
        raise NotComparable(
            f"The tenant has more than one row with the sale id {sale_id!r}. carousel-sync dedupe resolves them."
        )
    vector = rows[0][0]
    if vector is None:
        raise NotComparable(f"Sale {sale_id!r} has no embedding, because its event contained none.")
    if not any(vector):
        raise NotComparable(f"The embedding of sale {sale_id!r} contains only zeros. It has no direction.")
    found: Sequence[float] = vector
    return found


def main() -> None:
    """Run the job. Exits with 1 if the sale can't be compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="CATALOG.NAMESPACE.TABLE")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--sale", required=True, help="the id of the sale to compare with")
    parser.add_argument("--limit", type=int, default=10, help="how many sales to find")
    parser.add_argument("--output", metavar="FOLDER", help="write CSV here instead of printing")
    options, _ = parser.parse_known_args()  # Glue adds arguments of its own.
    spark = SparkSession.builder.appName("nearest sales").getOrCreate()
    sales = spark.table(options.table).where(F.col("tenant_id") == options.tenant)
    try:
        found = nearest_sales(sales, options.sale, options.limit)
    except NotComparable as error:
        sys.exit(f"Error: {error}")
    if options.output:
        found.coalesce(1).write.csv(options.output, mode="overwrite", header=True)
    else:
        found.show(options.limit, truncate=False)


if __name__ == "__main__":
    main()
