"""The Iceberg REST endpoint of Amazon S3 Tables.

Source: Amazon S3 User Guide, "Accessing tables using the Amazon S3 Tables Iceberg REST endpoint".
"""

from __future__ import annotations

from catalog_config.config import CatalogConfig
from catalog_config.endpoints import signed_properties


def properties(config: CatalogConfig) -> dict[str, str]:
    """Return pyiceberg's catalog properties."""
    return signed_properties("s3tables", config.warehouse, config)
