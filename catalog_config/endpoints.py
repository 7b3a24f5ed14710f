"""The Iceberg REST catalogs of AWS services, at the addresses that the SDK resolves."""

from __future__ import annotations

from typing import Any

import boto3

from catalog_config.config import CatalogConfig


def signed_properties(service: Any, warehouse: str, config: CatalogConfig) -> dict[str, str]:
    """Return pyiceberg's catalog properties for a service's Iceberg REST catalog. Opens no connection.

    Its address is below the configured endpoint, or else below the one that an SDK client of the service uses: that
    depends on the region's partition and on the SDK's settings (FIPS, dual-stack, endpoint variables).
    """
    endpoint = config.endpoint_url or boto3.client(service, region_name=config.region).meta.endpoint_url
    return {
        "type": "rest",
        "uri": f"{endpoint.rstrip('/')}/iceberg",
        "warehouse": warehouse,
        "rest.sigv4-enabled": "true",
        "rest.signing-name": service,
        "rest.signing-region": config.region,
    }
