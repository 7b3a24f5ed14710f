"""A catalog in a SQLite file and a folder, which needs no server, for development and tests."""

from __future__ import annotations

from catalog_config.config import CatalogConfig


def properties(config: CatalogConfig) -> dict[str, str]:
    """Return pyiceberg's catalog properties."""
    return {"type": "sql", "uri": config.uri or "", "warehouse": config.warehouse}
