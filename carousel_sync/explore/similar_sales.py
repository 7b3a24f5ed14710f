"""The sales whose embeddings are nearest to that of a given sale, by exact cosine similarity, in the Iceberg table.

queries/spark/nearest_sales.py answers the same question on Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from duckdb import DuckDBPyConnection

from carousel_sync.explore.duckdb_table import VIEW
from carousel_sync.explore.sql import Result, run
from lambda_fn.errors import CarouselSyncError

_OF_SALE: Final = f"SELECT embedding_vector FROM {VIEW} WHERE tenant_id = $tenant AND sale_id = $sale"  # noqa: S608

_DIMENSIONS: Final = f"""
    SELECT embedding_dimension, count(*) FROM {VIEW}
    WHERE tenant_id = $tenant AND sale_id <> $sale AND embedding_dimension IS NOT NULL
    GROUP BY embedding_dimension ORDER BY embedding_dimension"""  # noqa: S608

# A vector of zeros has no direction. DuckDB would report its similarity as -1.
_NEAREST: Final = f"""
    SELECT list_cosine_similarity(embedding_vector::DOUBLE[], $vector::DOUBLE[]) AS similarity,
        sale_id, sold_date, product_id, category, brand, sold_price, currency
    FROM {VIEW}
    WHERE tenant_id = $tenant AND sale_id <> $sale AND len(embedding_vector) = len($vector::DOUBLE[])
        AND list_dot_product(embedding_vector::DOUBLE[], embedding_vector::DOUBLE[]) > 0
    ORDER BY similarity DESC, sale_id LIMIT $limit"""  # noqa: S608


class NotComparable(CarouselSyncError):
    """There is nothing that the sale could be compared by, or with."""


@dataclass(frozen=True)
class Nearest:
    """The nearest sales, with their similarity from -1 to 1, the nearest first.

    ``left_out`` is the number of the tenant's sales whose embeddings have another dimension.
    """

    result: Result
    left_out: int


def nearest_sales(connection: DuckDBPyConnection, tenant: str, sale_id: str, limit: int) -> Nearest:
    """Find the tenant's sales that are nearest to one of its sales, at most ``limit``, without that sale itself.

    ``connection`` is one of :func:`carousel_sync.explore.duckdb_table.open_table`. Every embedding of the tenant is
    read and compared in double precision. Raises NotComparable and QueryFailed.
    """
    vector = _embedding(connection, tenant, sale_id)
    others: dict[int, int] = dict(run(connection, _DIMENSIONS, {"tenant": tenant, "sale": sale_id}).rows)
    same = others.pop(len(vector), 0)
    if others and not same:
        listed = ", ".join(str(dimension) for dimension in others)
        raise NotComparable(
            f"The embedding of sale {sale_id!r} has dimension {len(vector)}, and those of all other sales of tenant "
            f"{tenant!r} have another: {listed}. Embeddings of different dimensions can't be compared."
        )
    values = {"tenant": tenant, "sale": sale_id, "vector": vector, "limit": limit}
    return Nearest(run(connection, _NEAREST, values), left_out=sum(others.values()))


def _embedding(connection: DuckDBPyConnection, tenant: str, sale_id: str) -> Sequence[float]:
    """Return the sale's embedding. Raises NotComparable if there is none, or no way to tell which it is."""
    rows = list(run(connection, _OF_SALE, {"tenant": tenant, "sale": sale_id}).rows)
    if not rows:
        raise NotComparable(
            f"Tenant {tenant!r} has no sale {sale_id!r} in the Iceberg table. A sale appears there as soon as it is "
            "committed. carousel-sync sales --tenant TENANT prints the ids of the last days."
        )
    if len(rows) > 1:
        raise NotComparable(
            f"Tenant {tenant!r} has {len(rows)} rows with the sale id {sale_id!r}, so it is not clear which embedding "
            "to compare. carousel-sync verify reports such sales, and carousel-sync dedupe resolves them."
        )
    ((vector,),) = rows
    if vector is None:
        raise NotComparable(
            f"Sale {sale_id!r} of tenant {tenant!r} has no embedding, because its event contained none. Only sales "
            "with an embedding can be compared."
        )
    if not any(vector):
        raise NotComparable(
            f"The embedding of sale {sale_id!r} of tenant {tenant!r} contains only zeros. It has no direction, so its "
            "similarity to another one is not defined."
        )
    found: Sequence[float] = vector
    return found
