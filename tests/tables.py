"""Iceberg tables of sales for tests, in each type of catalog. Each table has a namespace of its own."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import connect
from catalog_config.provision import ensure_table
from lambda_fn.iceberg.pyiceberg_store import PyIcebergStore
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.ports import SalesTable
from lambda_fn.runtime.retry import Clock, Retry, SystemClock
from lambda_fn.settings import FILE_IO
from schemas.evolution.operation import Operation
from schemas.evolution.table_definition import definition_of
from schemas.evolution.table_updates import change_between, requirements
from testbed.emulator import REGION
from tests.engines.fixtures import IcebergRestServer
from tests.fakes.parallel import InTurn

TABLE = "sales_history"
REQUEST_SECONDS = 6.0

Wrap = Callable[[Catalog], Catalog]


@dataclass(frozen=True)
class TableUnderTest:
    """A provisioned, empty table, which can be written and read."""

    config: CatalogConfig
    namespace: str

    @property
    def identifier(self) -> tuple[str, str]:
        return self.namespace, TABLE

    def catalog(self) -> Catalog:
        return connect(self.config)

    def load(self) -> Table:
        return self.catalog().load_table(self.identifier)

    def store(self, wrap: Wrap = lambda catalog: catalog, clock: Clock | None = None) -> PyIcebergStore:
        def open_catalog() -> Catalog:
            return wrap(connect(self.config, lambda _size_bytes: None))

        return PyIcebergStore(open_catalog, self.identifier, InTurn(), clock or SystemClock(), REQUEST_SECONDS)

    def writer(self, wrap: Wrap = lambda catalog: catalog, seed: int = 1) -> SalesTable:
        """Return a writer with a store of its own, as another process would have."""
        retry = Retry(SystemClock(), random.Random(seed), first_seconds=0.001, longest_seconds=0.05)
        return IcebergSalesTable(self.store(wrap), retry)

    def alter(self, *operations: Operation) -> None:
        """Apply operations to the table, one commit each, regardless of its version."""
        catalog = self.catalog()
        for operation in operations:
            loaded = catalog.load_table(self.identifier)
            before = definition_of(loaded.metadata)
            catalog.commit_table(loaded, requirements(before), change_between(before, operation.apply(before)).updates)

    def sale_ids(self) -> list[str]:
        """Return the sale ids of all rows, sorted, with repeats."""
        return sorted(self.load().scan(selected_fields=("sale_id",)).to_arrow()["sale_id"].to_pylist())


def provisioned(config: CatalogConfig, to: int | None = None) -> TableUnderTest:
    """Create an empty table in a new namespace, at a version of its schema (default: the newest)."""
    table = TableUnderTest(config, f"n{uuid.uuid4().hex[:12]}")
    ensure_table(table.catalog(), *table.identifier, to)
    return table


def sqlite_config(folder: Path) -> CatalogConfig:
    """Return a catalog in a SQLite file with its tables in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return CatalogConfig(CatalogKind.LOCAL, REGION, f"file://{folder}/tables", f"sqlite:///{folder}/catalog.db")


def s3_tables_config(endpoint: str, bucket: str) -> CatalogConfig:
    """Create a table bucket in the emulator's S3 Tables, and return it as a catalog."""
    client = boto3.client("s3tables", endpoint_url=endpoint, region_name=REGION)
    arn = client.create_table_bucket(name=bucket)["arn"]
    return CatalogConfig(CatalogKind.S3_TABLES, REGION, arn, endpoint_url=endpoint, file_io=FILE_IO)


def rest_config(server: IcebergRestServer) -> CatalogConfig:
    """Return the REST reference server as a catalog."""
    return CatalogConfig(
        CatalogKind.REST,
        REGION,
        server.warehouse,
        server.uri,
        endpoint_url=server.s3_endpoint,
        # On a busy machine a Java server responds slowly to its first requests.
        read_timeout_seconds=60.0,
        file_io=FILE_IO,
    )


@pytest.fixture
def sqlite_table(tmp_path: Path) -> TableUnderTest:
    """An empty table in a SQLite catalog."""
    return provisioned(sqlite_config(tmp_path / "lake"))


@pytest.fixture
def s3_table(emulator_endpoint: str) -> TableUnderTest:
    """An empty table in the emulator's S3 Tables."""
    return provisioned(s3_tables_config(emulator_endpoint, f"lake-{uuid.uuid4().hex[:12]}"))


@pytest.fixture
def glue_table(s3_table: TableUnderTest) -> TableUnderTest:
    """An empty table in the emulator's S3 Tables, reached through Glue's catalog as after a federation."""
    return replace(s3_table, config=replace(s3_table.config, kind=CatalogKind.GLUE))


@pytest.fixture
def rest_table(iceberg_rest_server: IcebergRestServer) -> TableUnderTest:
    """An empty table in Apache Iceberg's REST reference server, with its files in versitygw."""
    return provisioned(rest_config(iceberg_rest_server))


@pytest.fixture(
    params=[
        "sqlite_table",
        "s3_table",
        pytest.param("glue_table", marks=pytest.mark.engine),
        pytest.param("rest_table", marks=pytest.mark.engine),
    ],
    ids=["sqlite", "s3-tables", "glue", "rest"],
)
def table(request: pytest.FixtureRequest) -> TableUnderTest:
    """An empty table in each type of catalog in turn."""
    found: TableUnderTest = request.getfixturevalue(request.param)
    return found
