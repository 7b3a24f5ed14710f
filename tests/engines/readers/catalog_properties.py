"""How Spark and Trino reach the catalog and the files of a table under test."""

from __future__ import annotations

from catalog_config.config import CatalogConfig, CatalogKind
from testbed.emulator import ACCESS_KEY, SECRET_KEY


def spark_properties(config: CatalogConfig) -> dict[str, str]:
    """Return the properties of an Iceberg catalog in Spark, without their prefix ``spark.sql.catalog.<name>.``."""
    properties = {
        "type": "rest",
        "uri": _uri(config),
        "warehouse": config.warehouse,
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": config.endpoint_url or "",
        "s3.path-style-access": "true",
        "s3.access-key-id": ACCESS_KEY,
        "s3.secret-access-key": SECRET_KEY,
        "client.region": config.region,
        # Each statement sees the commits before it.
        "cache-enabled": "false",
    }
    if config.kind is CatalogKind.S3_TABLES:
        properties |= {
            "rest.auth.type": "sigv4",
            "rest.auth.sigv4.delegate-auth-type": "none",
            "rest.signing-name": "s3tables",
            "rest.signing-region": config.region,
            "rest.access-key-id": ACCESS_KEY,
            "rest.secret-access-key": SECRET_KEY,
        }
    return properties


def trino_properties(config: CatalogConfig) -> dict[str, str]:
    """Return the properties of a catalog of Trino's Iceberg connector."""
    properties = {
        "iceberg.catalog.type": "rest",
        "iceberg.rest-catalog.uri": _uri(config),
        "iceberg.rest-catalog.warehouse": config.warehouse,
        "iceberg.rest-catalog.view-endpoints-enabled": "false",
        "fs.native-s3.enabled": "true",
        "s3.region": config.region,
        "s3.endpoint": config.endpoint_url or "",
        "s3.path-style-access": "true",
        "s3.aws-access-key": ACCESS_KEY,
        "s3.aws-secret-key": SECRET_KEY,
    }
    if config.kind is CatalogKind.S3_TABLES:
        properties |= {
            "iceberg.rest-catalog.sigv4-enabled": "true",
            "iceberg.rest-catalog.signing-name": "s3tables",
        }
    return properties


def _uri(config: CatalogConfig) -> str:
    """Return the address of the REST catalog. That of S3 Tables is a path of the emulator."""
    return f"{config.endpoint_url}/iceberg" if config.kind is CatalogKind.S3_TABLES else config.uri or ""
