"""Opens the catalog of a :class:`CatalogConfig` with pyiceberg, and gives every request a time-out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.exceptions import NoCredentialsError
from botocore.session import get_session
from pyiceberg.catalog import BOTOCORE_SESSION, Catalog
from pyiceberg.io import AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from catalog_config import glue, local, rest, s3_tables
from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.pyiceberg_internals import AdaptedRestCatalog
from catalog_config.table_answers import TableAnswers

CATALOG_NAME: Final = "carousel"

# Properties that a FileIO class finds besides pyiceberg's own.
CONNECT_TIMEOUT: Final = "carousel.connect-timeout-seconds"
READ_TIMEOUT: Final = "carousel.read-timeout-seconds"
ENDPOINT_URL: Final = "carousel.endpoint-url"
REGION: Final = "carousel.region"

_PROPERTIES: Final[dict[CatalogKind, Callable[[CatalogConfig], dict[str, str]]]] = {
    CatalogKind.S3_TABLES: s3_tables.properties,
    CatalogKind.GLUE: glue.properties,
    CatalogKind.REST: rest.properties,
    CatalogKind.LOCAL: local.properties,
}


def catalog_properties(config: CatalogConfig) -> dict[str, str]:
    """Return pyiceberg's catalog properties, including those for its FileIO class."""
    properties = {
        **_PROPERTIES[config.kind](config),
        CONNECT_TIMEOUT: str(config.connect_timeout_seconds),
        READ_TIMEOUT: str(config.read_timeout_seconds),
        REGION: config.region,
        # Callers retry, because they know the deadline.
        "rest.sigv4.max-retries": "0",
    }
    optional = {
        "py-io-impl": config.file_io,
        ENDPOINT_URL: config.endpoint_url,
        AWS_ACCESS_KEY_ID: config.access_key_id,
        AWS_SECRET_ACCESS_KEY: config.secret_access_key,
    }
    return properties | {name: value for name, value in optional.items() if value}


def connect(config: CatalogConfig, table_answered: Callable[[int], None] | None = None) -> Catalog:
    """Open the catalog. A REST catalog receives one request, for its configuration.

    A writer, which knows the table's history, passes ``table_answered``. It is called with the size in bytes of every
    answer of a REST catalog that contains the table's metadata, and these answers arrive without old snapshots
    (:mod:`catalog_config.table_answers`). Raises NoCredentialsError if requests are to be signed and the SDK finds no
    credentials, and requests' and pyiceberg's own errors if the catalog cannot be reached. Nothing is left behind.
    """
    properties: dict[str, Any] = catalog_properties(config)
    if config.kind is CatalogKind.LOCAL:
        # SQLAlchemy is not in the Lambda artefact.
        from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415

        return SqlCatalog(CATALOG_NAME, **properties)

    def wrap(adapter: BaseAdapter) -> BaseAdapter:
        answering = TableAnswers(adapter, table_answered) if table_answered else adapter
        return _TimeoutAdapter(answering, (config.connect_timeout_seconds, config.read_timeout_seconds))

    # pyiceberg opens two HTTP sessions, and would create a session of the SDK for each.
    properties[BOTOCORE_SESSION] = get_session()
    try:
        return AdaptedRestCatalog(CATALOG_NAME, wrap, **properties)
    except AttributeError as error:
        # pyiceberg signs with the credentials that boto3 finds, and does not check that there are any.
        if error.name == "get_frozen_credentials" and error.obj is None:
            raise NoCredentialsError from error
        raise


class _TimeoutAdapter(BaseAdapter):
    """Sends requests with a time-out, for which pyiceberg has no property, unless the caller sets one."""

    def __init__(self, inner: BaseAdapter, timeout: tuple[float, float]) -> None:
        super().__init__()
        self._inner = inner
        self._timeout = timeout

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        return self._inner.send(request, stream, timeout or self._timeout, verify, cert, proxies)

    def close(self) -> None:
        self._inner.close()
