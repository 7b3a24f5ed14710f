"""The function's environment, read once. Only the AWS SDK reads variables of its own besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from catalog_config.config import CatalogConfig, CatalogKind
from lambda_fn.errors import ConfigurationError

CONNECT_TIMEOUT_SECONDS: Final = 1.0
READ_TIMEOUT_SECONDS: Final = 4.0
MAX_RECEIVE_COUNT: Final = 50
FILE_IO: Final = "lambda_fn.aws.s3_file_io.S3FileIO"


class GroupCommitMode(StrEnum):
    """When attempts land in groups: while other writers want to commit as well, always, or never."""

    ADAPTIVE = "adaptive"
    ALWAYS = "always"
    OFF = "off"


# What Powertools takes for true.
_TRUE: Final = ("1", "y", "yes", "t", "true", "on")


@dataclass(frozen=True)
class Settings:
    """Everything that an operator can set. Names carry their units.

    ``max_receive_count`` is the buffer queue's: after so many deliveries, a message becomes a dead letter.
    ``look_up_every_sale`` is for a stage whose guard or projection was lost (docs/repair.md).

    The time-outs apply to requests to DynamoDB and SQS; ``catalog`` has those of the catalog and its files. An
    ``endpoint_url`` applies to every client, also where the environment names an endpoint for a single service.
    """

    stage: str
    region: str
    catalog: CatalogConfig
    namespace: str
    table: str
    guard_table: str
    projection_table: str
    dead_letter_queue_url: str
    endpoint_url: str | None
    connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS
    tracing: bool = False
    look_up_every_sale: bool = False
    group_commit: GroupCommitMode = GroupCommitMode.ADAPTIVE
    max_receive_count: int = MAX_RECEIVE_COUNT

    @property
    def request_seconds(self) -> float:
        """The longest time that one request to DynamoDB or SQS can take."""
        return self.connect_timeout_seconds + self.read_timeout_seconds

    @property
    def table_identifier(self) -> tuple[str, str]:
        """Namespace and name of the Iceberg table."""
        return self.namespace, self.table

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises ConfigurationError, which names the first variable that is missing or malformed.
        """
        endpoint_url = _url(environment, "AWS_ENDPOINT_URL") if environment.get("AWS_ENDPOINT_URL") else None
        region = (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "").strip()
        if not region:
            raise _missing("AWS_REGION", "the region of the tables and queues; Lambda sets it")
        return cls(
            stage=_required(environment, "STAGE", "the deployment stage, such as dev or prod"),
            region=region,
            catalog=_catalog(environment, region, endpoint_url),
            namespace=environment.get("ICEBERG_NAMESPACE") or "pricing_intelligence",
            table=environment.get("ICEBERG_TABLE") or "sales_history",
            guard_table=_required(environment, "GUARD_TABLE", "the DynamoDB table of claims"),
            projection_table=_required(environment, "PROJECTION_TABLE", "the DynamoDB table of look-ups"),
            dead_letter_queue_url=_url(environment, "DEAD_LETTER_QUEUE_URL"),
            endpoint_url=endpoint_url,
            tracing=_is_traced(environment),
            look_up_every_sale=_is_true(environment, "LOOK_UP_EVERY_SALE"),
            group_commit=_group_commit(environment),
            max_receive_count=_max_receive_count(environment),
        )


def _group_commit(environment: Mapping[str, str]) -> GroupCommitMode:
    name = environment.get("GROUP_COMMIT") or GroupCommitMode.ADAPTIVE.value
    try:
        return GroupCommitMode(name.strip().lower())
    except ValueError:
        known = ", ".join(mode.value for mode in GroupCommitMode)
        raise ConfigurationError(
            f"Environment variable GROUP_COMMIT is {name!r}; it has to be one of: {known}."
        ) from None


def _max_receive_count(environment: Mapping[str, str]) -> int:
    text = environment.get("MAX_RECEIVE_COUNT", "").strip() or str(MAX_RECEIVE_COUNT)
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ConfigurationError(
            f"Environment variable MAX_RECEIVE_COUNT is {text!r}; it has to be the buffer queue's maxReceiveCount."
        )
    return int(text)


def _is_traced(environment: Mapping[str, str]) -> bool:
    """Return whether there is an X-Ray daemon, as always in Lambda, and the template did not disable tracing."""
    disabled = _is_true(environment, "POWERTOOLS_TRACE_DISABLED")
    return bool(environment.get("AWS_XRAY_DAEMON_ADDRESS")) and not disabled


def _is_true(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() in _TRUE


def _catalog(environment: Mapping[str, str], region: str, endpoint_url: str | None) -> CatalogConfig:
    name = environment.get("CATALOG") or CatalogKind.S3_TABLES.value
    try:
        kind = CatalogKind(name)
    except ValueError:
        known = ", ".join(kind.value for kind in CatalogKind)
        raise ConfigurationError(f"Environment variable CATALOG is {name!r}; it has to be one of: {known}.") from None
    if kind in (CatalogKind.S3_TABLES, CatalogKind.GLUE):
        warehouse = _required(environment, "TABLE_BUCKET_ARN", "the table bucket that holds the Iceberg table")
        if not (warehouse.startswith("arn:") and ":s3tables:" in warehouse and ":bucket/" in warehouse):
            raise ConfigurationError(
                f"Environment variable TABLE_BUCKET_ARN is {warehouse!r}; it has to be the ARN of a table bucket, "
                "arn:aws:s3tables:REGION:ACCOUNT:bucket/NAME."
            )
        return CatalogConfig(kind=kind, region=region, warehouse=warehouse, endpoint_url=endpoint_url, file_io=FILE_IO)
    return CatalogConfig(
        kind=kind,
        region=region,
        warehouse=_required(environment, "CATALOG_WAREHOUSE", "the warehouse's name, location or folder"),
        uri=_required(environment, "CATALOG_URI", "the REST server's address, or sqlite:///FILE for a local catalog"),
        endpoint_url=endpoint_url,
        file_io=None if kind is CatalogKind.LOCAL else FILE_IO,
    )


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise _missing(name, meaning)
    return value


def _url(environment: Mapping[str, str], name: str) -> str:
    value = _required(environment, name, "an http or https address")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigurationError(f"Environment variable {name} is {value!r}; it has to be an http or https address.")
    return value


def _missing(name: str, meaning: str) -> ConfigurationError:
    return ConfigurationError(
        f"Environment variable {name} is missing: {meaning}. Nothing was processed and the events stay where they are. "
        "template.yaml sets it; carousel-sync local env prints a complete example."
    )
