"""The artefact in Lambda's own runtime: nothing that was left out of it is missing."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.release.artefact import build
from carousel_sync.release.install import Platform
from catalog_config.config import CatalogKind
from lambda_fn.errors import ConfigurationError
from testbed.emulator import REGION
from testbed.server_process import ServerNotStarted
from testbed.stores import Stores, client, create_stores
from tests.builders import body, embedding, event
from tests.engines.fixtures import IcebergRestServer
from tests.engines.java_engine import EngineUnavailable
from tests.engines.runtime_interface import RunningFunction, running_function
from tests.tables import TableUnderTest, provisioned, rest_config

# One pytest-xdist worker runs all of them, so that each artefact is built once.
pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("artefact")]

SALES = 50
POISON = "{"
SOURCES = "sources"
BYTECODE = "bytecode"


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The artefact for this machine's processor, unzipped. Each variant is built once, when it is first needed."""

    @cache
    def unzipped(variant: str) -> Path:
        folder = tmp_path_factory.mktemp(f"artefact-{variant}")
        try:
            built = build(Platform.HOST, folder / "built", bytecode=variant == BYTECODE)
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
def table(request: pytest.FixtureRequest) -> TableUnderTest:
    """An empty table in a catalog of this kind."""
    if request.param is CatalogKind.REST:
        server: IcebergRestServer = request.getfixturevalue("iceberg_rest_on_emulator")
        # The server loads most of its classes with the first request.
        return provisioned(replace(rest_config(server), read_timeout_seconds=60))
    found: TableUnderTest = request.getfixturevalue("glue_table" if request.param is CatalogKind.GLUE else "s3_table")
    return found


@pytest.fixture
def stores(emulator_endpoint: str, table: TableUnderTest) -> Stores:
    return replace(create_stores(emulator_endpoint), catalog=table.config, namespace=table.namespace)


@pytest.fixture
def function(artefact: Path, stores: Stores, tmp_path: Path) -> Iterator[RunningFunction]:
    environment = {**stores.environment(), "AWS_LAMBDA_FUNCTION_NAME": "sales-sync"}
    try:
        with running_function(artefact, environment, tmp_path) as started:
            yield started
    except (EngineUnavailable, ServerNotStarted) as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def items(stores: Stores, table: str) -> list[dict[str, Any]]:
    pages = client("dynamodb", stores.endpoint).get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def dead_letters(stores: Stores) -> list[str]:
    sqs = client("sqs", stores.endpoint)
    answer = sqs.receive_message(QueueUrl=stores.dead_letter_queue_url, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


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
    """Return a batch: sales, most of them with an embedding, a duplicate of the first, and a body that is not JSON."""
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
def test_the_artefact_handles_batches_and_events(
    function: RunningFunction, stores: Stores, table: TableUnderTest
) -> None:
    assert function.invoke(batch()) == {"batchItemFailures": []}
    expected = [sale_id(n) for n in range(SALES)]
    assert table.sale_ids() == expected
    assert sorted(item["saleId"]["S"] for item in items(stores, stores.projection_table)) == expected
    assert {item["status"]["S"] for item in items(stores, stores.guard_table)} == {"COMPLETED"}
    assert dead_letters(stores) == [POISON]

    late = event(saleId=sale_id(SALES))
    assert function.invoke(late) == {"statusCode": 200, "body": "Event processed successfully"}
    assert function.invoke(late) == {"statusCode": 200, "body": "Duplicate event - skipped"}
    assert function.invoke(event(saleId=sale_id(0), tenantId="tenant-0", salePrice=1))["statusCode"] == 422
    assert table.sale_ids() == [*expected, sale_id(SALES)]

    assert not re.findall(r"Traceback|ModuleNotFoundError|Warning", function.log())
    assert function.init_milliseconds() < 10_000  # Lambda's limit for the initialisation


@pytest.mark.parametrize("artefact", [BYTECODE], indirect=True)
def test_an_unconfigured_function_names_the_missing_variable(artefact: Path, tmp_path: Path) -> None:
    with running_function(artefact, {"AWS_REGION": REGION}, tmp_path) as function:
        answer = function.invoke(event())
    assert answer["errorType"] == "ConfigurationError"
    assert "STAGE" in answer["errorMessage"]
