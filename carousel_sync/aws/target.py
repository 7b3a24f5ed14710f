"""A deployed stage: its AWS clients, the function's environment, and the Iceberg table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, cast

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitStateUnknownException, NoSuchNamespaceError, NoSuchTableError, RESTError
from pyiceberg.table import Table

from catalog_config.config import CatalogConfig
from catalog_config.connect import connect
from lambda_fn.errors import ConfigurationError, StoreUnavailable, TableMissing
from lambda_fn.settings import Settings

DEFAULT_REGION: Final = "eu-west-1"
CATALOG_FAILURES: Final = (requests.RequestException, RESTError, CommitStateUnknownException)
"""What pyiceberg raises when the catalog can't be reached or refuses a request."""
_TIMEOUTS: Final = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4}, max_pool_connections=32
)
STACK_NAME: Final = "carousel-sync-{stage}"
FUNCTION_ALIAS: Final = "live"
"""The alias of the function version that receives events (template.yaml, AutoPublishAlias)."""


def function_name(stage: str) -> str:
    """Return the name that template.yaml gives the function."""
    return f"bg-remover-{stage}-carouselToS3TablesSync"


@dataclass(kw_only=True, eq=False, repr=False)
class Target:
    """A deployment of one stage. Creating a target opens no connection.

    ``credentials`` are the embedded stack's, as environment variables. They are empty for every other target, where the
    AWS SDK finds its own (environment, profile, role).
    """

    stage: str
    region: str
    session: boto3.Session
    endpoint_url: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    _clients: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def is_local(self) -> bool:
        """Whether this is the embedded stack."""
        return bool(self.credentials)

    @property
    def flags(self) -> str:
        """The command-line options that select this target, for hints: ``--stage dev --local``."""
        return f"--stage {self.stage} --local" if self.is_local else f"--stage {self.stage}"

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service. Every call for the same service returns the same client."""
        if service not in self._clients:
            session = cast("Any", self.session)
            self._clients[service] = session.client(
                service, region_name=self.region, endpoint_url=self.endpoint_url, config=_TIMEOUTS
            )
        return self._clients[service]

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The deployed function's environment, complete enough to call its handler in another process.

        It adds AWS_REGION, AWS_ENDPOINT_URL if the target has one, and the embedded stack's dummy credentials to what
        the template sets. Raises ConfigurationError when the stage is not deployed or can't be reached.
        """
        deployed = self._function_configuration().get("Environment", {}).get("Variables", {})
        environment = {**deployed, **self.credentials, "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if self.endpoint_url:
            environment["AWS_ENDPOINT_URL"] = self.endpoint_url
        return environment

    @cached_property
    def settings(self) -> Settings:
        """The deployed function's settings.

        Raises ConfigurationError when :attr:`environment` does, and for a malformed variable.
        """
        return Settings.from_environment(self.environment)

    @property
    def catalog_config(self) -> CatalogConfig:
        """How to reach the table's catalog from this machine."""
        if not self.credentials:
            return self.settings.catalog
        return replace(
            self.settings.catalog,
            access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.credentials["AWS_SECRET_ACCESS_KEY"],
        )

    def catalog(self) -> Catalog:
        """Open the catalog. Raises StoreUnavailable when it can't be reached or refuses the request."""
        try:
            return connect(self.catalog_config)
        except CATALOG_FAILURES as error:
            raise self.catalog_unavailable(error) from error

    def load_table(self) -> Table:
        """Load the current version of the Iceberg table.

        Raises TableMissing when the table does not exist, and StoreUnavailable when the catalog can't be reached or
        refuses the request.
        """
        settings = self.settings
        catalog = self.catalog()
        try:
            return catalog.load_table(settings.table_identifier)
        except (NoSuchTableError, NoSuchNamespaceError) as error:
            raise TableMissing(".".join(settings.table_identifier), settings.catalog.warehouse) from error
        except CATALOG_FAILURES as error:
            raise self.catalog_unavailable(error) from error

    def catalog_unavailable(self, error: Exception) -> StoreUnavailable:
        """Return the error to raise when the catalog fails, with advice for the operator."""
        return StoreUnavailable(
            f"The Iceberg catalog at {self} failed or refused a request: {error}. Changes made before this stay. Run "
            "the command again. If the request is refused again, the credentials may not have the rights they need on "
            "the table bucket (s3tables:GetTable*, and to create the table also CreateNamespace, CreateTable, "
            "PutTableData and UpdateTableMetadataLocation)."
        )

    def _function_configuration(self) -> Mapping[str, Any]:
        name = function_name(self.stage)
        try:
            return cast("Mapping[str, Any]", self.client("lambda").get_function_configuration(FunctionName=name))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                raise ConfigurationError(
                    f"Stage {self.stage!r} is not deployed at {self}: function {name} does not exist. Nothing was "
                    "changed. Check --stage and the region (AWS_REGION), or use --local for the embedded stack."
                ) from error
            raise ConfigurationError(
                f"The configuration of function {name} at {self} can't be read: {error}. Nothing was changed."
            ) from error
        except BotoCoreError as error:
            raise ConfigurationError(
                f"{self} can't be reached: {error}. Nothing was changed. Check the credentials (aws sts "
                "get-caller-identity) and the network, or use --local for the embedded stack."
            ) from error

    def __str__(self) -> str:
        return self.endpoint_url or f"AWS {self.region}"
