"""The Iceberg REST endpoint of the AWS Glue Data Catalog, for a table bucket that is federated into it.

Source: AWS Glue Developer Guide, "Connecting to the Data Catalog using AWS Glue Iceberg REST endpoint".
"""

from __future__ import annotations

from catalog_config.config import CatalogConfig
from catalog_config.endpoints import signed_properties


def properties(config: CatalogConfig) -> dict[str, str]:
    """Return pyiceberg's catalog properties."""
    return signed_properties("glue", glue_warehouse(config.warehouse), config)


def glue_warehouse(table_bucket_arn: str) -> str:
    """Return the warehouse ``ACCOUNT:s3tablescatalog/NAME`` of ``arn:aws:s3tables:REGION:ACCOUNT:bucket/NAME``."""
    account, resource = table_bucket_arn.split(":", 5)[4:]
    return f"{account}:s3tablescatalog/{resource.removeprefix('bucket/')}"
