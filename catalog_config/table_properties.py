"""The properties of the table of sales, and why each is as it is.

What is not here matters as much: any ``history.expire.*`` property, branch or tag retention switches S3 Tables' own
snapshot management off (Amazon S3 User Guide, "Considerations and limitations for maintenance jobs").
"""

from __future__ import annotations

from typing import Final

FORMAT_VERSION: Final = 2

PROPERTIES: Final[dict[str, str]] = {
    "write.parquet.compression-codec": "zstd",
    # Bounds of 16 characters prune as well as full ones, except for ids that share a long prefix; a description may
    # have 10,000 characters, which a manifest must not carry twice for every file.
    "write.metadata.metrics.default": "truncate(16)",
    "write.metadata.metrics.column.sale_id": "full",
    "write.metadata.metrics.column.product_id": "full",
    "write.metadata.metrics.column.tenant_id": "full",
    # Nobody prunes by the bounds of a vector's elements; a list's statistics are those of its element.
    "write.metadata.metrics.column.embedding_vector.element": "none",
}
