"""Addresses of AWS services, as the SDK resolves them."""

from __future__ import annotations

from typing import Any

import boto3

from catalog_config.config import CatalogConfig


def iceberg_endpoint(service: Any, config: CatalogConfig) -> str:
    """Return the address of a service's Iceberg REST catalog.

    It is below the configured endpoint, or else below the one that an SDK client of the service uses: that depends on
    the region's partition and on the SDK's settings (FIPS, dual-stack, endpoint variables). Opens no connection.
    """
    endpoint = config.endpoint_url or boto3.client(service, region_name=config.region).meta.endpoint_url
    return f"{endpoint.rstrip('/')}/iceberg"
