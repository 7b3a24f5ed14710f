"""The addresses of the AWS catalogs are those that an SDK client uses."""

from __future__ import annotations

import pytest

from catalog_config import glue, s3_tables
from catalog_config.config import CatalogConfig, CatalogKind

ARN = "arn:aws:s3tables:eu-west-1:123456789012:bucket/lake"


def uris(region: str, endpoint_url: str | None = None) -> list[str]:
    config = CatalogConfig(CatalogKind.S3_TABLES, region, ARN, endpoint_url=endpoint_url)
    return [catalog.properties(config)["uri"] for catalog in (s3_tables, glue)]


@pytest.mark.parametrize(
    ("region", "domain"),
    [("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn"), ("us-gov-west-1", "amazonaws.com")],
)
def test_endpoints_are_those_of_the_regions_partition(region: str, domain: str) -> None:
    assert uris(region) == [f"https://{name}.{region}.{domain}/iceberg" for name in ("s3tables", "glue")]


def test_fips_endpoints_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert uris("us-east-2") == [
        "https://s3tables-fips.us-east-2.amazonaws.com/iceberg",
        "https://glue-fips.us-east-2.amazonaws.com/iceberg",
    ]


def test_the_endpoint_of_a_single_service_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:1")
    assert uris("eu-west-1") == ["https://s3tables.eu-west-1.amazonaws.com/iceberg", "http://127.0.0.1:1/iceberg"]


def test_the_configured_endpoint_overrides_all_others() -> None:
    assert uris("eu-west-1", "http://127.0.0.1:2/") == ["http://127.0.0.1:2/iceberg"] * 2
