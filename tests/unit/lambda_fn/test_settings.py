"""The function's environment: every variable, and a clear error for each that is missing or malformed."""

from __future__ import annotations

import importlib

import pytest
from pyiceberg.io import FileIO

from catalog_config.config import CatalogConfig, CatalogKind
from lambda_fn.errors import CarouselSyncError, ConfigurationError
from lambda_fn.settings import FILE_IO, GroupCommitMode, Settings

ARN = "arn:aws:s3tables:eu-west-1:123456789012:bucket/carousel-dev-analytics"
DAEMON = "169.254.79.129:2000"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/carousel-sync-dlq-dev"
ENVIRONMENT = {
    "STAGE": "dev",
    "AWS_REGION": "eu-west-1",
    "TABLE_BUCKET_ARN": ARN,
    "GUARD_TABLE": "pricing-idempotency-dev",
    "PROJECTION_TABLE": "bg-remover-dev-sales-intelligence",
    "DEAD_LETTER_QUEUE_URL": QUEUE,
}
SERVER = {"CATALOG": "rest", "CATALOG_URI": "http://localhost:8181", "CATALOG_WAREHOUSE": "warehouse"}


def settings(**changes: str) -> Settings:
    return Settings.from_environment(ENVIRONMENT | changes)


def without(name: str, **changes: str) -> dict[str, str]:
    return {key: value for key, value in (ENVIRONMENT | changes).items() if key != name}


def error(environment: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_environment(environment)
    return str(raised.value)


def test_required_variables() -> None:
    assert settings() == Settings(
        stage="dev",
        region="eu-west-1",
        catalog=CatalogConfig(kind=CatalogKind.S3_TABLES, region="eu-west-1", warehouse=ARN, file_io=FILE_IO),
        namespace="pricing_intelligence",
        table="sales_history",
        guard_table="pricing-idempotency-dev",
        projection_table="bg-remover-dev-sales-intelligence",
        dead_letter_queue_url=QUEUE,
        endpoint_url=None,
    )


def test_optional_variables() -> None:
    found = settings(
        CATALOG="glue", ICEBERG_NAMESPACE="n", ICEBERG_TABLE="t", AWS_ENDPOINT_URL="http://localhost:4566", STAGE="prod"
    )
    assert found.stage == "prod"
    assert found.table_identifier == ("n", "t")
    assert found.endpoint_url == "http://localhost:4566"
    assert found.catalog == CatalogConfig(
        kind=CatalogKind.GLUE,
        region="eu-west-1",
        warehouse=ARN,
        endpoint_url="http://localhost:4566",
        file_io=FILE_IO,
    )


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_an_error_names_the_missing_variable(name: str) -> None:
    expected = f"Environment variable {name} is missing: "
    assert error(without(name)).startswith(expected)
    assert error(ENVIRONMENT | {name: ""}).startswith(expected)


@pytest.mark.parametrize("name", sorted(ENVIRONMENT.keys() - {"AWS_REGION"}))
def test_a_blank_variable_counts_as_missing(name: str) -> None:
    assert error(ENVIRONMENT | {name: "  "}).startswith(f"Environment variable {name} is missing: ")


def test_the_message_says_how_to_fix_it() -> None:
    message = error(without("GUARD_TABLE"))
    assert "the DynamoDB table of claims" in message
    assert "the events stay where they are" in message
    assert "carousel-sync local env" in message


def test_a_configuration_error_is_a_project_error() -> None:
    assert issubclass(ConfigurationError, CarouselSyncError)


def test_the_default_region_is_used_without_a_region() -> None:
    assert Settings.from_environment(without("AWS_REGION", AWS_DEFAULT_REGION="us-east-1")).region == "us-east-1"
    assert settings(AWS_DEFAULT_REGION="us-east-1").region == "eu-west-1"


@pytest.mark.parametrize("name", ["ICEBERG_NAMESPACE", "ICEBERG_TABLE", "CATALOG", "AWS_ENDPOINT_URL"])
def test_an_empty_optional_variable_counts_as_absent(name: str) -> None:
    assert settings(**{name: ""}) == settings()


@pytest.mark.parametrize("name", ["DEAD_LETTER_QUEUE_URL", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize("value", ["queue", "localhost:4566", "ftp://host/x", "http://", "https:///x", "//host"])
def test_a_malformed_address_names_its_variable(name: str, value: str) -> None:
    expected = f"Environment variable {name} is {value!r}; it has to be an http or https address."
    assert error(ENVIRONMENT | {name: value}) == expected


@pytest.mark.parametrize("kind", ["s3_tables", "glue"])
@pytest.mark.parametrize(
    "value", ["carousel-dev-analytics", "arn:aws:s3:::carousel", ARN.replace("bucket/", ""), "x" + ARN]
)
def test_a_malformed_table_bucket_names_its_variable(kind: str, value: str) -> None:
    message = error(ENVIRONMENT | {"CATALOG": kind, "TABLE_BUCKET_ARN": value})
    assert message.startswith(f"Environment variable TABLE_BUCKET_ARN is {value!r}; it has to be the ARN of a table")


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_table_buckets_in_other_partitions(partition: str) -> None:
    arn = ARN.replace("arn:aws:", f"arn:{partition}:")
    assert settings(TABLE_BUCKET_ARN=arn).catalog.warehouse == arn


@pytest.mark.parametrize("value", ["S3_TABLES", "hive", "s3tables", " glue"])
def test_an_unknown_catalog_is_reported_with_the_supported_ones(value: str) -> None:
    expected = f"Environment variable CATALOG is {value!r}; it has to be one of: s3_tables, glue, rest, local."
    assert error(ENVIRONMENT | {"CATALOG": value}) == expected


def test_a_rest_catalog_needs_no_table_bucket() -> None:
    found = Settings.from_environment(without("TABLE_BUCKET_ARN", **SERVER)).catalog
    assert found == CatalogConfig(
        kind=CatalogKind.REST,
        region="eu-west-1",
        warehouse="warehouse",
        uri="http://localhost:8181",
        file_io=FILE_IO,
    )


def test_a_local_catalog() -> None:
    changes = {"CATALOG": "local", "CATALOG_URI": "sqlite:////tmp/c.db", "CATALOG_WAREHOUSE": "/tmp/w"}  # noqa: S108
    found = settings(**changes).catalog
    assert found == CatalogConfig(
        kind=CatalogKind.LOCAL,
        region="eu-west-1",
        warehouse="/tmp/w",  # noqa: S108
        uri="sqlite:////tmp/c.db",
    )


@pytest.mark.parametrize("kind", ["rest", "local"])
@pytest.mark.parametrize("name", ["CATALOG_URI", "CATALOG_WAREHOUSE"])
def test_rest_and_local_catalogs_need_an_address_and_a_warehouse(kind: str, name: str) -> None:
    environment = ENVIRONMENT | SERVER | {"CATALOG": kind}
    del environment[name]
    assert error(environment).startswith(f"Environment variable {name} is missing: ")


@pytest.mark.parametrize("name", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_ENDPOINT_URL_SQS"])
def test_the_sdks_own_variables_are_left_to_the_sdk(name: str) -> None:
    assert settings(**{name: "true"}) == settings()


@pytest.mark.parametrize(
    ("variables", "tracing"),
    [
        ({}, False),
        ({"AWS_XRAY_DAEMON_ADDRESS": DAEMON}, True),
        ({"AWS_XRAY_DAEMON_ADDRESS": DAEMON, "POWERTOOLS_TRACE_DISABLED": "false"}, True),
        ({"AWS_XRAY_DAEMON_ADDRESS": DAEMON, "POWERTOOLS_TRACE_DISABLED": ""}, True),
        ({"AWS_XRAY_DAEMON_ADDRESS": DAEMON, "POWERTOOLS_TRACE_DISABLED": "True"}, False),
        ({"AWS_XRAY_DAEMON_ADDRESS": DAEMON, "POWERTOOLS_TRACE_DISABLED": "1"}, False),
        ({"POWERTOOLS_TRACE_DISABLED": "false"}, False),
    ],
)
def test_requests_are_traced_where_there_is_a_daemon_unless_that_is_disabled(
    variables: dict[str, str], tracing: bool
) -> None:
    assert settings(**variables).tracing is tracing


@pytest.mark.parametrize(("value", "look_up"), [("", False), ("false", False), ("true", True), ("1", True)])
def test_every_sale_is_looked_up_only_if_that_is_switched_on(value: str, look_up: bool) -> None:
    assert settings().look_up_every_sale is False
    assert settings(LOOK_UP_EVERY_SALE=value).look_up_every_sale is look_up


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("", GroupCommitMode.ADAPTIVE),
        ("adaptive", GroupCommitMode.ADAPTIVE),
        (" Always ", GroupCommitMode.ALWAYS),
        ("off", GroupCommitMode.OFF),
    ],
)
def test_attempts_land_in_groups_while_there_is_contention_unless_something_else_is_set(
    value: str, mode: GroupCommitMode
) -> None:
    assert settings().group_commit is GroupCommitMode.ADAPTIVE
    assert settings(GROUP_COMMIT=value).group_commit is mode


def test_an_unknown_mode_of_group_commit_is_reported_with_the_known_ones() -> None:
    expected = "Environment variable GROUP_COMMIT is 'never'; it has to be one of: adaptive, always, off."
    assert error(ENVIRONMENT | {"GROUP_COMMIT": "never"}) == expected


def test_a_request_takes_as_long_as_both_time_outs() -> None:
    found = settings()
    assert found.request_seconds == found.connect_timeout_seconds + found.read_timeout_seconds
    catalog = found.catalog
    assert catalog.request_seconds == catalog.connect_timeout_seconds + catalog.read_timeout_seconds


def test_the_file_io_class_exists() -> None:
    module, _, name = FILE_IO.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), name), FileIO)


def test_max_receive_count() -> None:
    assert settings().max_receive_count == 50
    assert settings(MAX_RECEIVE_COUNT="7").max_receive_count == 7
    for text in ("0", "-1", "many", "٥"):
        assert "MAX_RECEIVE_COUNT" in error(ENVIRONMENT | {"MAX_RECEIVE_COUNT": text})
