"""The artefact in Lambda's own runtime: what was left out of it is not missed."""

from __future__ import annotations

import re
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from carousel_sync.release.artefact import build
from carousel_sync.release.install import Platform
from catalog_config.config import CatalogKind
from lambda_fn.errors import ConfigurationError
from testbed.dynamodb_tables import create_tables
from testbed.emulator import ACCESS_KEY, REGION, SECRET_KEY
from testbed.server_process import ServerNotStarted
from tests.builders import body, embedding, event
from tests.engines.fixtures import IcebergRestServer
from tests.engines.java_engine import EngineUnavailable
from tests.engines.runtime_interface import RunningFunction, running_function
from tests.tables import TableUnderTest, provisioned, rest_config

pytestmark = pytest.mark.engine

SALES = 50
POISON = "{"
SOURCES = "sources"
BYTECODE = "bytecode"


@dataclass(frozen=True)
class Stores:
    """What the function writes to, apart from the Iceberg table."""

    endpoint: str
    guard_table: str
    projection_table: str
    dead_letter_queue_url: str

    def client(self, service: Any) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION)

    def items(self, table: str) -> list[dict[str, Any]]:
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    def dead_letters(self) -> list[str]:
        answer = self.client("sqs").receive_message(QueueUrl=self.dead_letter_queue_url, MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", [])]


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The artefact for this machine's processor, out of its zip; each kind is built once, when it is asked for."""

    @cache
    def unzipped(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(f"artefact-{kind}")
        try:
            built = build(Platform.HOST, folder / "built", bytecode=kind == BYTECODE)
        except ConfigurationError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        with zipfile.ZipFile(built.archive) as archive:
            archive.extractall(folder / "task")
        return folder / "task"

    return unzipped


@pytest.fixture
def artefact(request: pytest.FixtureRequest, artefacts: Callable[[str], Path]) -> Path:
    return artefacts(request.param)


@pytest.fixture
def stores(emulator_endpoint: str) -> Stores:
    suffix = uuid.uuid4().hex[:12]
    sqs: Any = boto3.client("sqs", endpoint_url=emulator_endpoint, region_name=REGION)
    url = sqs.create_queue(QueueName=f"dead-letters-{suffix}")["QueueUrl"]
    made = Stores(emulator_endpoint, f"guard-{suffix}", f"projection-{suffix}", url)
    create_tables(made.client("dynamodb"), made.guard_table, made.projection_table)
    return made


@pytest.fixture
def table(request: pytest.FixtureRequest) -> TableUnderTest:
    """An empty table behind the catalog of that name."""
    if request.param is CatalogKind.REST:
        server: IcebergRestServer = request.getfixturevalue("iceberg_rest_server")
        # The server's first request makes it load most of its classes.
        return provisioned(replace(rest_config(server), read_timeout_seconds=60))
    s3_table: TableUnderTest = request.getfixturevalue("s3_table")
    return TableUnderTest(replace(s3_table.config, kind=request.param), s3_table.namespace)


@pytest.fixture
def function(artefact: Path, stores: Stores, table: TableUnderTest, tmp_path: Path) -> Iterator[RunningFunction]:
    try:
        with running_function(artefact, environment(stores, table), tmp_path) as started:
            yield started
    except (EngineUnavailable, ServerNotStarted) as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def environment(stores: Stores, table: TableUnderTest) -> dict[str, str]:
    """Return the variables that template.yaml and the Lambda service set."""
    config = table.config
    warehouse = "CATALOG_WAREHOUSE" if config.kind is CatalogKind.REST else "TABLE_BUCKET_ARN"
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": stores.endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": "sales-sync",
        "STAGE": "test",
        "CATALOG": config.kind.value,
        warehouse: config.warehouse,
        "CATALOG_URI": config.uri or "",
        "ICEBERG_NAMESPACE": table.namespace,
        "ICEBERG_TABLE": table.identifier[1],
        "GUARD_TABLE": stores.guard_table,
        "PROJECTION_TABLE": stores.projection_table,
        "DEAD_LETTER_QUEUE_URL": stores.dead_letter_queue_url,
    }


def message(number: int | str, text: str) -> dict[str, Any]:
    return {
        "messageId": f"message-{number}",
        "body": text,
        "eventSource": "aws:sqs",
        "attributes": {"SentTimestamp": "1773568800000"},
    }


def sale_id(number: int) -> str:
    return f"sale-{number:03}"


def batch() -> dict[str, Any]:
    """Sales, most of them with an embedding; the first of them once more; and a body that is no event."""
    texts = [
        body(saleId=sale_id(n), embedding=list(embedding(seed=n)) if n % 5 else None, tenantId=f"tenant-{n % 3}")
        for n in range(SALES)
    ]
    messages = [message(n, text) for n, text in enumerate(texts)]
    return {"Records": [*messages, message("again", texts[0]), message("poison", POISON)]}


@pytest.mark.parametrize(
    ("artefact", "table"),
    [
        (SOURCES, CatalogKind.S3_TABLES),
        (BYTECODE, CatalogKind.S3_TABLES),
        (BYTECODE, CatalogKind.GLUE),
        (BYTECODE, CatalogKind.REST),
    ],
    indirect=True,
)
def test_a_batch_and_an_event(function: RunningFunction, stores: Stores, table: TableUnderTest) -> None:
    assert function.invoke(batch()) == {"batchItemFailures": []}
    wanted = [sale_id(n) for n in range(SALES)]
    assert table.sale_ids() == wanted
    assert sorted(item["saleId"]["S"] for item in stores.items(stores.projection_table)) == wanted
    assert {item["status"]["S"] for item in stores.items(stores.guard_table)} == {"COMPLETED"}
    assert stores.dead_letters() == [POISON]

    late = event(saleId=sale_id(SALES))
    assert function.invoke(late) == {"statusCode": 200, "body": "Event processed successfully"}
    assert function.invoke(late) == {"statusCode": 200, "body": "Duplicate event - skipped"}
    assert function.invoke(event(saleId=sale_id(0), tenantId="tenant-0", salePrice=1))["statusCode"] == 422
    assert table.sale_ids() == [*wanted, sale_id(SALES)]

    assert not re.findall(r"Traceback|ModuleNotFoundError|Warning", function.log())
    assert function.init_milliseconds() < 10_000  # Lambda's own limit for a start


@pytest.mark.parametrize("artefact", [BYTECODE], indirect=True)
def test_a_function_that_is_not_set_up_says_what_is_missing(artefact: Path, tmp_path: Path) -> None:
    with running_function(artefact, {"AWS_REGION": REGION}, tmp_path) as function:
        answer = function.invoke(event())
    assert answer["errorType"] == "ConfigurationError"
    assert "STAGE" in answer["errorMessage"]
