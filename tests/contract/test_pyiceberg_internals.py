"""The private names of pyiceberg that the project uses still do what it relies on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pyiceberg.table import Transaction
from pyiceberg.table.update import AssertRefSnapshotId, SetPropertiesUpdate
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from catalog_config.pyiceberg_internals import AdaptedRestCatalog, pending_commit
from tests.fakes.http_service import HTTPService, http_service
from tests.tables import TableUnderTest


class Noting(BaseAdapter):
    """Passes requests on to another adapter, and records their paths."""

    def __init__(self, inner: BaseAdapter, paths: list[str]) -> None:
        super().__init__()
        self.inner = inner
        self._paths = paths

    def send(self, request: PreparedRequest, *arguments: Any, **keywords: Any) -> Response:
        self._paths.append(request.path_url.partition("?")[0])
        return self.inner.send(request, *arguments, **keywords)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def service() -> Iterator[HTTPService]:
    with http_service() as running:
        running.body = json.dumps({"defaults": {}, "overrides": {}}).encode()
        yield running


def opened(service: HTTPService, **properties: str) -> tuple[AdaptedRestCatalog, list[str]]:
    paths: list[str] = []
    return AdaptedRestCatalog("c", lambda adapter: Noting(adapter, paths), uri=service.url, **properties), paths


def test_the_request_of_the_constructor_passes_the_wrapped_adapter(service: HTTPService) -> None:
    _, paths = opened(service)
    assert paths == ["/v1/config"]
    assert [received.path for received in service.received] == paths


def test_every_adapter_of_the_session_is_wrapped_including_the_signing_one(service: HTTPService) -> None:
    catalog, _ = opened(
        service,
        **{
            "rest.sigv4-enabled": "true",
            "rest.signing-name": "s3tables",
            "rest.signing-region": "eu-west-1",
            "rest.sigv4.max-retries": "0",
        },
    )
    session: Session = catalog._session
    assert all(isinstance(adapter, Noting) for adapter in session.adapters.values())
    signing: Any = session.get_adapter(f"{service.url}/v1/config")
    assert signing.inner.max_retries.total == 0
    assert "/eu-west-1/s3tables/aws4_request" in service.received[0].headers["authorization"]


def test_a_transaction_has_its_requirements_and_updates(sqlite_table: TableUnderTest) -> None:
    table = sqlite_table.load()
    transaction = Transaction(table, autocommit=False)
    transaction.set_properties({"name": "value"})
    requirements, updates = pending_commit(transaction)
    assert list(requirements) == []
    assert list(updates) == [SetPropertiesUpdate(updates={"name": "value"})]
    table.catalog.commit_table(table, requirements, updates)
    assert sqlite_table.load().properties["name"] == "value"


def test_an_overwrite_requires_the_head_that_was_read(sqlite_table: TableUnderTest) -> None:
    table = sqlite_table.load()
    transaction = Transaction(table, autocommit=False)
    transaction.append(table.schema().as_arrow().empty_table())
    requirements, _ = pending_commit(transaction)
    assert AssertRefSnapshotId(ref="main", **{"snapshot-id": None}) in requirements
