"""Settings of the function for tests that need nothing but its clients."""

from __future__ import annotations

from typing import Any

from catalog_config.config import CatalogConfig, CatalogKind
from lambda_fn.settings import Settings


def client_settings(endpoint_url: str | None = None, region: str = "eu-west-1", **changes: Any) -> Settings:
    """Return settings with this endpoint and region. Nothing they name exists."""
    fields: dict[str, Any] = {
        "stage": "test",
        "region": region,
        "catalog": CatalogConfig(CatalogKind.REST, region, "warehouse", uri="http://127.0.0.1:9"),
        "namespace": "namespace",
        "table": "table",
        "guard_table": "guard",
        "projection_table": "projection",
        "dead_letter_queue_url": f"{endpoint_url or 'https://sqs.example'}/000000000000/letters",
        "endpoint_url": endpoint_url,
        "connect_timeout_seconds": 5.0,
        "read_timeout_seconds": 5.0,
    }
    return Settings(**fields | changes)
