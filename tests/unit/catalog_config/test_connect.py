"""How pyiceberg is configured, and what every request to a REST catalog has in common."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from botocore.exceptions import NoCredentialsError
from pyiceberg.exceptions import RESTError

from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import catalog_properties, connect
from tests.fakes.http_service import HTTPService, http_service

ARN = "arn:aws:s3tables:eu-west-1:123456789012:bucket/lake"


@pytest.fixture
def service() -> Iterator[HTTPService]:
    with http_service() as running:
        running.body = json.dumps({"defaults": {}, "overrides": {}}).encode()
        yield running


def s3_tables_config(endpoint_url: str | None = None, read_timeout_seconds: float = 5.0) -> CatalogConfig:
    return CatalogConfig(
        CatalogKind.S3_TABLES,
        "eu-west-1",
        ARN,
        endpoint_url=endpoint_url,
        read_timeout_seconds=read_timeout_seconds,
        access_key_id="key",
        secret_access_key="secret",
        file_io="module.FileIO",
    )


def test_files_are_accessed_through_the_configured_class() -> None:
    assert catalog_properties(s3_tables_config())["py-io-impl"] == "module.FileIO"
    local = CatalogConfig(CatalogKind.LOCAL, "eu-west-1", "file:///lake", "sqlite://")
    assert "py-io-impl" not in catalog_properties(local)


def test_what_is_not_configured_is_left_to_pyiceberg() -> None:
    properties = catalog_properties(CatalogConfig(CatalogKind.REST, "eu-west-1", "lake", "http://127.0.0.1:1"))
    assert properties.keys() >= {"type", "uri", "warehouse"}
    assert not [name for name, value in properties.items() if not value]
    assert "client.access-key-id" not in properties


def test_a_request_is_signed_and_names_the_warehouse(service: HTTPService) -> None:
    connect(s3_tables_config(service.url))
    (received,) = service.received
    assert received.path.startswith("/iceberg/v1/config?warehouse=arn")
    assert "Credential=key/" in received.headers["authorization"]
    assert "/eu-west-1/s3tables/aws4_request" in received.headers["authorization"]


def test_missing_credentials_are_reported_as_such(service: HTTPService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(NoCredentialsError):
        connect(CatalogConfig(CatalogKind.S3_TABLES, "eu-west-1", ARN, endpoint_url=service.url))
    assert service.received == []


@pytest.mark.parametrize("kind", [CatalogKind.S3_TABLES, CatalogKind.REST])
def test_a_request_times_out(service: HTTPService, kind: CatalogKind) -> None:
    service.delay_seconds = 0.5
    config = s3_tables_config(service.url, read_timeout_seconds=0.1)
    if kind is CatalogKind.REST:
        config = CatalogConfig(kind, "eu-west-1", "lake", service.url, read_timeout_seconds=0.1)
    started = time.monotonic()
    with pytest.raises(requests.ReadTimeout):
        connect(config)
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_request_is_not_retried(service: HTTPService, status: int) -> None:
    service.status = status
    with pytest.raises((RESTError, requests.RequestException)):
        connect(s3_tables_config(service.url))
    assert len(service.received) == 1


def test_a_local_catalog_needs_no_server(tmp_path: Path) -> None:
    config = CatalogConfig(CatalogKind.LOCAL, "eu-west-1", f"file://{tmp_path}", f"sqlite:///{tmp_path}/c.db")
    assert connect(config).list_namespaces() == []
