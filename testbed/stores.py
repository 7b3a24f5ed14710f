"""The stores of one deployment, created on an emulator without deploying the template."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

import boto3

from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import connect
from catalog_config.provision import ensure_table
from lambda_fn.settings import FILE_IO, Settings
from schemas.sales_history import TABLE
from testbed.dynamodb.tables import create_tables
from testbed.emulator import CLIENT_ENVIRONMENT, REGION

REQUEST_SECONDS = 20.0
"""Long enough for a request to an emulator on a busy machine."""


@dataclass(frozen=True)
class Stores:
    """An Iceberg table, the guard and projection tables, and a dead-letter queue. ``endpoint`` is the emulator's."""

    endpoint: str
    catalog: CatalogConfig
    namespace: str
    guard_table: str
    projection_table: str
    dead_letter_queue_url: str

    @property
    def identifier(self) -> tuple[str, str]:
        """Namespace and name of the Iceberg table."""
        return self.namespace, TABLE

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the environment of a function that uses these stores, optionally through another endpoint."""
        is_table_bucket = self.catalog.kind in (CatalogKind.S3_TABLES, CatalogKind.GLUE)
        return {
            **CLIENT_ENVIRONMENT,
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "STAGE": "test",
            "CATALOG": self.catalog.kind.value,
            "TABLE_BUCKET_ARN" if is_table_bucket else "CATALOG_WAREHOUSE": self.catalog.warehouse,
            "CATALOG_URI": self.catalog.uri or "",
            "ICEBERG_NAMESPACE": self.namespace,
            "ICEBERG_TABLE": TABLE,
            "GUARD_TABLE": self.guard_table,
            "PROJECTION_TABLE": self.projection_table,
            "DEAD_LETTER_QUEUE_URL": self.dead_letter_queue_url,
        }

    def settings(self, endpoint: str | None = None, request_seconds: float = REQUEST_SECONDS) -> Settings:
        """Return the settings of that function, with one time-out for connecting and for reading."""
        settings = Settings.from_environment(self.environment(endpoint))
        timeouts: Any = {"connect_timeout_seconds": request_seconds, "read_timeout_seconds": request_seconds}
        return replace(settings, catalog=replace(settings.catalog, **timeouts), **timeouts)


def create_stores(endpoint: str) -> Stores:
    """Create empty stores under names that nobody else uses."""
    suffix = uuid.uuid4().hex[:12]
    guard_table, projection_table = f"guard-{suffix}", f"projection-{suffix}"
    create_tables(client("dynamodb", endpoint), guard_table, projection_table)
    queue_url = client("sqs", endpoint).create_queue(QueueName=f"dead-letters-{suffix}")["QueueUrl"]
    bucket_arn = client("s3tables", endpoint).create_table_bucket(name=f"lake-{suffix}")["arn"]
    catalog = CatalogConfig(CatalogKind.S3_TABLES, REGION, bucket_arn, endpoint_url=endpoint, file_io=FILE_IO)
    stores = Stores(endpoint, catalog, f"n{suffix}", guard_table, projection_table, queue_url)
    ensure_table(connect(catalog), *stores.identifier)
    return stores


def client(service: str, endpoint: str) -> Any:
    """Return a boto3 client of the emulator."""
    session: Any = boto3.Session(region_name=REGION)
    return session.client(service, endpoint_url=endpoint)
