"""Which deployment a command talks to: AWS, the embedded stack, or whatever AWS_ENDPOINT_URL names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitStateUnknownException, NoSuchNamespaceError, NoSuchTableError, RESTError
from pyiceberg.table import Table

from carousel_sync.local_stack import state as local_state
from catalog_config.config import CatalogConfig
from catalog_config.connect import connect
from lambda_fn.errors import ConfigurationError, StoreUnavailable, TableMissing
from lambda_fn.settings import Settings

DEFAULT_REGION: Final = "eu-west-1"
CATALOG_FAILURES: Final = (requests.RequestException, RESTError, CommitStateUnknownException)
"""What a catalog that can't be reached, or refuses, makes pyiceberg raise."""
_TIMEOUTS: Final = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4}, max_pool_connections=32
)


STACK_NAME: Final = "carousel-sync-{stage}"
FUNCTION_ALIAS: Final = "live"
"""The alias of the published version that events are delivered to (template.yaml, AutoPublishAlias)."""


def function_name(stage: str) -> str:
    """Return the name that template.yaml gives the function."""
    return f"bg-remover-{stage}-carouselToS3TablesSync"


class Target:
    """A deployment of one stage. Constructing it opens no connection.

    ``credentials`` are those of the embedded stack as environment variables, and empty for any other target, where the
    SDK's own chain (environment, profile, role) applies.
    """

    def __init__(
        self,
        *,
        stage: str,
        region: str,
        session: boto3.Session,
        endpoint_url: str | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        self.stage = stage
        self.region = region
        self.session = session
        self.endpoint_url = endpoint_url
        self.credentials: Mapping[str, str] = dict(credentials or {})
        self._clients: dict[str, Any] = {}

    @property
    def is_local(self) -> bool:
        """Whether this is the embedded stack."""
        return bool(self.credentials)

    def client(self, service: str) -> Any:
        """Return the boto3 client of the service, with time-outs; the same one at each call."""
        if service not in self._clients:
            session = cast("Any", self.session)
            self._clients[service] = session.client(
                service, region_name=self.region, endpoint_url=self.endpoint_url, config=_TIMEOUTS
            )
        return self._clients[service]

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The deployed function's environment, complete enough to call its handler in another process.

        Besides what the template sets: AWS_REGION, AWS_ENDPOINT_URL when there is one, and the embedded stack's dummy
        credentials. Raises ConfigurationError when the stage is not deployed or can't be reached.
        """
        deployed = self._function_configuration().get("Environment", {}).get("Variables", {})
        environment = {**deployed, **self.credentials, "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if self.endpoint_url:
            environment["AWS_ENDPOINT_URL"] = self.endpoint_url
        return environment

    @cached_property
    def settings(self) -> Settings:
        """The deployed function's settings. Raises what :attr:`environment` does, and for a malformed variable."""
        return Settings.from_environment(self.environment)

    @property
    def catalog_config(self) -> CatalogConfig:
        """How the table's catalog is reached from here."""
        if not self.credentials:
            return self.settings.catalog
        return replace(
            self.settings.catalog,
            access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.credentials["AWS_SECRET_ACCESS_KEY"],
        )

    def catalog(self) -> Catalog:
        """Open the catalog. Raises StoreUnavailable when it can't be reached or refuses."""
        try:
            return connect(self.catalog_config)
        except CATALOG_FAILURES as error:
            raise self.catalog_unavailable(error) from error

    def load_table(self) -> Table:
        """Load the Iceberg table at its present head.

        Raises TableMissing when it was never created, StoreUnavailable when the catalog can't be reached or refuses.
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
        """Say for a person that the catalog failed; the caller raises it."""
        return StoreUnavailable(
            f"The Iceberg catalog at {self} failed or refused: {error}. What was done until then stays; run the "
            "command again. If it is refused again, these credentials may lack rights on the table bucket "
            "(s3tables:GetTable*, and to create the table also CreateNamespace, CreateTable, PutTableData and "
            "UpdateTableMetadataLocation)."
        )

    def _function_configuration(self) -> Mapping[str, Any]:
        name = function_name(self.stage)
        try:
            return cast("Mapping[str, Any]", self.client("lambda").get_function_configuration(FunctionName=name))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                raise ConfigurationError(
                    f"Stage {self.stage!r} is not deployed at {self}: function {name} does not exist. Nothing changed. "
                    "Check --stage and the region (AWS_REGION), or use --local for the embedded stack."
                ) from error
            raise ConfigurationError(
                f"Function {name} at {self} can't be read: {error}. Nothing was changed."
            ) from error
        except BotoCoreError as error:
            raise ConfigurationError(
                f"{self} can't be reached: {error}. Nothing was changed. Check the credentials (aws sts "
                "get-caller-identity) and the network, or use --local for the embedded stack."
            ) from error

    def __str__(self) -> str:
        return self.endpoint_url or f"AWS {self.region}"


def resolve(stage: str, local: bool, state_dir: Path | None = None) -> Target:
    """Find the deployment that a command was asked to talk to.

    With ``local`` it is the embedded stack whose state is in ``state_dir`` (default: see ``state_directory``);
    otherwise AWS, or what AWS_ENDPOINT_URL names. Opens no connection. Raises ConfigurationError when ``local`` is
    asked for and no stack is up.
    """
    if local:
        return local_target(stage, state_dir)
    session = boto3.Session()
    region = os.environ.get("AWS_REGION") or session.region_name or DEFAULT_REGION
    return Target(stage=stage, region=region, session=session, endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or None)


def local_target(stage: str, state_dir: Path | None = None) -> Target:
    """Return the embedded stack as a target. Raises ConfigurationError when it is not up, or is another stage's."""
    directory = local_state.state_directory(state_dir)
    running = local_state.load(directory)
    if running is None or not local_state.is_alive(running.pid):
        raise ConfigurationError(
            f"The embedded stack is not up (looked in {directory}). Start it: carousel-sync local up"
        )
    if running.stage != stage:
        raise ConfigurationError(
            f"The embedded stack runs stage {running.stage!r}, not {stage!r}. Use --stage {running.stage}, or start it "
            f"anew: carousel-sync local down, then carousel-sync local up --stage {stage}"
        )
    return target_of(running)


def target_of(running: local_state.StackState) -> Target:
    """Return a target for a stack that is known to run."""
    session = boto3.Session(
        aws_access_key_id=local_state.ACCESS_KEY_ID,
        aws_secret_access_key=local_state.SECRET_ACCESS_KEY,
        region_name=running.region,
    )
    return Target(
        stage=running.stage,
        region=running.region,
        session=session,
        endpoint_url=running.endpoint_url,
        credentials=running.credentials,
    )
