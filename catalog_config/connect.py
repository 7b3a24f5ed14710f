"""From a :class:`CatalogConfig` to a pyiceberg catalog whose every request has a time-out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import EMPTY_BODY_SHA256, SIGV4_REGION, SIGV4_SERVICE, RestCatalog
from pyiceberg.io import AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter, HTTPAdapter

from catalog_config import aws, glue, local, rest, s3_tables
from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.table_answers import TableAnswers

CATALOG_NAME: Final = "carousel"

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
    """Return everything that pyiceberg needs to know, time-outs and file access included."""
    properties = {
        **_PROPERTIES[config.kind](config),
        CONNECT_TIMEOUT: str(config.connect_timeout_seconds),
        READ_TIMEOUT: str(config.read_timeout_seconds),
        REGION: config.region,
        # The project has one retry loop; a library's own would spend time that the deadline does not know of.
        "rest.sigv4.max-retries": "0",
    }
    if config.kind is not CatalogKind.LOCAL:
        properties["py-io-impl"] = "catalog_config.s3_file_io.S3FileIO"
    if config.endpoint_url:
        properties[ENDPOINT_URL] = config.endpoint_url
    if config.access_key_id and config.secret_access_key:
        properties[AWS_ACCESS_KEY_ID] = config.access_key_id
        properties[AWS_SECRET_ACCESS_KEY] = config.secret_access_key
    return properties


def connect(config: CatalogConfig, table_answered: Callable[[int], None] | None = None) -> Catalog:
    """Open the catalog. A REST catalog makes one request (its configuration).

    A writer, which knows the table's history, passes ``table_answered``. It is told the size in bytes of every answer
    of a REST catalog that carries the table's metadata, and commits are answered without the snapshots before them.
    Raises requests' and pyiceberg's own errors when the catalog can't be reached; nothing is left behind.
    """
    properties = catalog_properties(config)
    if config.kind is CatalogKind.LOCAL:
        # Imported here because SQLAlchemy is not in the Lambda artefact.
        from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415

        return SqlCatalog(CATALOG_NAME, **properties)
    return SigningRestCatalog(CATALOG_NAME, table_answered, **properties)


class SigningRestCatalog(RestCatalog):
    """pyiceberg's REST catalog, with a time-out on every request, and with the project's one SDK session.

    pyiceberg sets no time-out and offers no property for one, and a catalog asks for its configuration while it is
    being constructed: creating the session is the only place early enough. To sign, it would import boto3 and make
    two sessions of it.
    """

    def __init__(self, name: str, table_answered: Callable[[int], None] | None = None, /, **properties: str) -> None:
        self._table_answered = table_answered
        super().__init__(name, **properties)

    def _init_sigv4(self, session: Session) -> None:
        # Called where pyiceberg's own does the same. Should a later version not call it any more, that one signs.
        session.mount(self.uri, _SigningAdapter(self.properties))

    def _create_session(self) -> Session:
        session = super()._create_session()
        timeout = (float(self.properties[CONNECT_TIMEOUT]), float(self.properties[READ_TIMEOUT]))
        for prefix, adapter in list(session.adapters.items()):
            answering = TableAnswers(adapter, self._table_answered) if self._table_answered else adapter
            session.mount(prefix, _TimeoutAdapter(answering, timeout))
        return session


class _SigningAdapter(HTTPAdapter):
    """Signs each request with AWS Signature Version 4 (AWS Identity and Access Management User Guide).

    Without retries: the project has one retry loop; another would spend time that the deadline does not know of.
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        super().__init__(max_retries=0)
        self._credentials = aws.credentials(
            properties.get(AWS_ACCESS_KEY_ID), properties.get(AWS_SECRET_ACCESS_KEY), properties.get(AWS_SESSION_TOKEN)
        )
        self._service, self._region = properties[SIGV4_SERVICE], properties[SIGV4_REGION]

    def add_headers(self, request: PreparedRequest, **options: Any) -> None:
        # Proxies may change this header, so it is not signed.
        request.headers.pop("connection", None)
        if not request.body:
            request.headers["x-amz-content-sha256"] = EMPTY_BODY_SHA256
        url, _, query = str(request.url).partition("?")
        signed = AWSRequest(
            method=request.method, url=url, params=dict(parse_qsl(query)), data=request.body, headers=request.headers
        )
        SigV4Auth(self._credentials.get_frozen_credentials(), self._service, self._region).add_auth(signed)
        request.headers.update(signed.headers)


class _TimeoutAdapter(BaseAdapter):
    """Passes requests on, with a time-out when the caller names none."""

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
