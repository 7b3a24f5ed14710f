"""The properties of the table of sales, and the reason for each value.

Never add a ``history.expire.*`` property, or a branch or tag retention: each switches off the snapshot management of
S3 Tables (Amazon S3 User Guide, "Considerations and limitations for maintenance jobs").
"""

from __future__ import annotations

from typing import Final

FORMAT_VERSION: Final = 2

FENCED_ATTEMPTS: Final = "carousel.fenced-attempts"
"""Summary property of a snapshot: the attempts that it has taken sales over from, separated by commas."""

LANDED_ATTEMPTS: Final = "carousel.landed-attempts"
"""Summary property of a snapshot: the attempts whose manifests it lists besides that of the attempt with its own id."""

BACKFILL: Final = "carousel.backfill"
"""Summary property of a snapshot that may have rows of sales without a claim, because their items have expired."""

PROPERTIES: Final[dict[str, str]] = {
    "write.parquet.compression-codec": "zstd",
    # Bounds of 16 characters prune as well as full bounds, except for ids that share a long prefix. A description may
    # have 10,000 characters, which a manifest must not hold twice for every file.
    "write.metadata.metrics.default": "truncate(16)",
    "write.metadata.metrics.column.sale_id": "full",
    "write.metadata.metrics.column.product_id": "full",
    "write.metadata.metrics.column.tenant_id": "full",
    # Nobody prunes by the bounds of a vector's elements. A list's statistics are those of its element.
    "write.metadata.metrics.column.embedding_vector.element": "none",
}
