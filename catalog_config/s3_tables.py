"""The Iceberg REST endpoint of Amazon S3 Tables.

Source: Amazon S3 User Guide, "Accessing tables using the Amazon S3 Tables Iceberg REST endpoint".
"""

from __future__ import annotations

from catalog_config.config import CatalogConfig


def properties(config: CatalogConfig) -> dict[str, str]:
    """Return pyiceberg's catalog properties."""
    endpoint = config.endpoint_url or f"https://s3tables.{config.region}.amazonaws.com"
    return {
        "type": "rest",
        "uri": f"{endpoint.rstrip('/')}/iceberg",
        "warehouse": config.warehouse,
        "rest.sigv4-enabled": "true",
        "rest.signing-name": "s3tables",
        "rest.signing-region": config.region,
    }
