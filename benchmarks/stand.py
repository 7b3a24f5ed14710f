"""The stand on which everything is measured: the emulator, the proxy before it, and stores of its own for each use."""

from __future__ import annotations

import base64
import os
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.io import load_file_io
from pyiceberg.table import Table

from benchmarks.latency_proxy import Passed
from catalog_config import s3_tables
from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import connect
from catalog_config.provision import ensure_table
from lambda_fn.application import Application
from lambda_fn.settings import FILE_IO, Settings
from lambda_fn.wiring import build
from schemas.sales_history import TABLE
from tests.contract.dynamodb.dynamodb_tables import create_tables
from tests.engines.fixtures import ACCESS_KEY, REGION, SECRET_KEY, emulator
from tests.engines.server_process import free_port, running

_PATIENT_SECONDS: Final = 20.0
_INVOCATION_MILLISECONDS: Final = 900_000
_ROOT: Final = Path(__file__).parents[1]


_NOWHERE: Final = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open for as long as the process lives)


@contextmanager
def quiet() -> Iterator[None]:
    """Send what the function logs nowhere: writing it costs what it costs in Lambda, and nobody reads it here."""
    with redirect_stdout(_NOWHERE):
        yield


def wired(settings: Settings) -> Application:
    """Return the function, wired as in Lambda."""
    with quiet():
        return build(settings)


class Context:
    """A Lambda context whose time never runs out."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return _INVOCATION_MILLISECONDS


@dataclass(frozen=True)
class Stores:
    """An Iceberg table, the guard, the projection and a dead-letter queue, used by nobody else."""

    warehouse: str
    namespace: str
    guard_table: str
    projection_table: str
    queue_url: str

    @property
    def identifier(self) -> tuple[str, str]:
        return self.namespace, TABLE


@dataclass(frozen=True)
class Stand:
    """The emulator's address, and the proxy's."""

    server: str
    proxy: str

    def stores(self) -> Stores:
        """Make new stores, all empty."""
        suffix = uuid.uuid4().hex[:10]
        guard, projection = f"guard-{suffix}", f"projection-{suffix}"
        create_tables(self._client("dynamodb"), guard, projection)
        queue = self._client("sqs").create_queue(QueueName=f"dead-letters-{suffix}")["QueueUrl"]
        warehouse = self._client("s3tables").create_table_bucket(name=f"lake-{suffix}")["arn"]
        stores = Stores(warehouse, f"n{suffix}", guard, projection, queue)
        ensure_table(connect(self._catalog_config(stores, self.server)), *stores.identifier)
        return stores

    def settings(self, stores: Stores, endpoint: str | None = None) -> Settings:
        """Return the function's settings; its requests go through the proxy unless another endpoint is given."""
        endpoint = endpoint or self.proxy
        return Settings(
            stage="bench",
            region=REGION,
            catalog=self._catalog_config(stores, endpoint),
            namespace=stores.namespace,
            table=TABLE,
            guard_table=stores.guard_table,
            projection_table=stores.projection_table,
            dead_letter_queue_url=stores.queue_url,
            endpoint_url=endpoint,
            connect_timeout_seconds=_PATIENT_SECONDS,
            read_timeout_seconds=_PATIENT_SECONDS,
        )

    def environment(self, stores: Stores) -> dict[str, str]:
        """Return the environment of a function in a process of its own, straight at the emulator."""
        return {
            "STAGE": "bench",
            "CATALOG": CatalogKind.S3_TABLES.value,
            "TABLE_BUCKET_ARN": stores.warehouse,
            "ICEBERG_NAMESPACE": stores.namespace,
            "ICEBERG_TABLE": TABLE,
            "GUARD_TABLE": stores.guard_table,
            "PROJECTION_TABLE": stores.projection_table,
            "DEAD_LETTER_QUEUE_URL": stores.queue_url,
            "AWS_ENDPOINT_URL": self.server,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_ROOT),
            **_AWS_ENVIRONMENT,
        }

    def plain_table(self, stores: Stores, endpoint: str | None = None) -> Table:
        """Load a table as any user of pyiceberg would; its file access goes to the same endpoint as well."""
        return plain_table(stores.warehouse, stores.identifier, endpoint or self.proxy)

    def delay(self, milliseconds: float) -> None:
        """Add so much to each request from now on, and forget those before."""
        requests.put(f"{self.proxy}/_proxy/delay", data=str(milliseconds), timeout=_PATIENT_SECONDS)

    def passed(self) -> list[Passed]:
        """Return the requests since the delay was set."""
        answer = requests.get(f"{self.proxy}/_proxy/requests", timeout=_PATIENT_SECONDS)
        return [Passed(**one) for one in answer.json()]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep the bodies of the requests meanwhile."""
        requests.put(f"{self.proxy}/_proxy/recording", data="1", timeout=_PATIENT_SECONDS)
        try:
            yield
        finally:
            requests.put(f"{self.proxy}/_proxy/recording", data="0", timeout=_PATIENT_SECONDS)

    def _catalog_config(self, stores: Stores, endpoint: str) -> CatalogConfig:
        return CatalogConfig(
            CatalogKind.S3_TABLES,
            REGION,
            stores.warehouse,
            endpoint_url=endpoint,
            connect_timeout_seconds=_PATIENT_SECONDS,
            read_timeout_seconds=_PATIENT_SECONDS,
            file_io=FILE_IO,
        )

    def _client(self, service: str) -> Any:
        session: Any = boto3.Session(region_name=REGION)
        return session.client(service, endpoint_url=self.server)


_AWS_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_METRICS_NAMESPACE": "bench",
}


def plain_table(warehouse: str, identifier: tuple[str, str], endpoint: str) -> Table:
    """Load a table with what pyiceberg's documentation asks for, and its own file access.

    The emulator vends its own address as ``s3.endpoint``, which would lead around the proxy.
    """
    config = CatalogConfig(CatalogKind.S3_TABLES, REGION, warehouse, endpoint_url=endpoint)
    table = load_catalog("plain", **s3_tables.properties(config)).load_table(identifier)
    table.io = load_file_io({**table.io.properties, "s3.endpoint": endpoint}, table.location())
    return table


def counted(passed: list[Passed]) -> Counter[str]:
    """Count requests by service and action."""
    return Counter(f"{one.service} {one.action}" for one in passed)


def most_at_a_time(passed: list[Passed]) -> int:
    """Return how many requests were under way at the same time at most."""
    steps = sorted([(one.arrived, 1) for one in passed] + [(one.answered, -1) for one in passed])
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def body_of(passed: Passed) -> bytes:
    """Return the body of a recorded request."""
    return base64.b64decode(passed.body)


@contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    """Run the emulator and the proxy; nothing is left behind but what they log into the folder."""
    os.environ.update(_AWS_ENVIRONMENT)
    with emulator(folder) as server, latency_proxy(folder, server.port) as proxy:
        yield Stand(server.url, proxy)


@contextmanager
def latency_proxy(folder: Path, server_port: int, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run the proxy, and tell its address."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.latency_proxy", str(port), str(server_port)]
    variables = {"PYTHONPATH": str(_ROOT), **(environment or {})}
    with running(
        "proxy", command, port=port, folder=folder, environment=variables, ready_path="/_proxy/ready"
    ) as process:
        yield process.url
