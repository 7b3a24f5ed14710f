"""Any server that implements the Iceberg REST catalog specification, without request signing."""

from __future__ import annotations

from catalog_config.config import CatalogConfig


def properties(config: CatalogConfig) -> dict[str, str]:
    """Return pyiceberg's catalog properties."""
    return {"type": "rest", "uri": config.uri or "", "warehouse": config.warehouse}
