"""docs/analysts.md: the examples for readers are run as they are, on the embedded stack's table."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from carousel_sync.explore.duckdb_table import open_sales
from carousel_sync.explore.sql import run
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.wiring import build
from tests.builders import event
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.spark_engine import Spark
from tests.engines.readers.trino_engine import Trino
from tests.engines.tools import tool
from tests.infrastructure.conftest import batch

pytestmark = [pytest.mark.engine, ONE_PROCESS]

PAGE = (PROJECT_ROOT / "docs/analysts.md").read_text()
ENDPOINT = "https://s3tables.eu-west-1.amazonaws.com"
SECONDS = 180
TOTAL = """
    SELECT sum(sold_price), count(*) FROM sales_history
    WHERE tenant_id = 'carousel-labs' AND year = 2025 AND month = 12"""


def block(reader: str, language: str) -> str:
    """Return the page's code block for a reader."""
    section = PAGE.split(f"### {reader}\n")[1].split("\n### ")[0]
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return str(found)


def properties(reader: str, stack: LocalStack) -> dict[str, str]:
    """Return the properties that the page gives to a reader, for the embedded stack."""
    target = stack.target()
    text = block(reader, "properties").replace(ENDPOINT, target.endpoint_url or "")
    text = text.replace("TABLE_BUCKET_ARN", target.settings.catalog.warehouse)
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture(scope="module")
def average(stack: LocalStack) -> Decimal:
    """Write some sales, and return the average price that the page asks for."""
    target = stack.target()
    sales = [
        event(tenantId=tenant, saleId=f"page-{number}", soldDate=f"2025-{month}-15", salePrice=10 + number)
        for number, (tenant, month) in enumerate(
            [("carousel-labs", 12), ("carousel-labs", 12), ("carousel-labs", 11), ("another", 12)]
        )
    ]
    application = build(replace(target.settings, catalog=target.catalog_config))
    assert application.handle(batch(*map(json.dumps, sales)), None) == {"batchItemFailures": []}
    with open_sales(target) as connection:
        ((total, number),) = run(connection, TOTAL).rows
    assert number >= 2
    average: Decimal = total / number
    return average


@pytest.mark.parametrize("reader", ["pyiceberg", "DuckDB", "Polars", "Daft"])
def test_python(reader: str, stack: LocalStack, average: Decimal, tmp_path: Path) -> None:
    python = sys.executable if reader in {"pyiceberg", "DuckDB"} else tool("dataframes", "bin/python")
    code = block("pyiceberg", "python") + ("" if reader == "pyiceberg" else block(reader, "python"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DO_NOT_TRACK": "true"}
    done = subprocess.run(
        [python, "-c", code],
        env={**stack.target().environment, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(float(average))


def test_spark(spark: Spark, stack: LocalStack, average: Decimal) -> None:
    target = stack.target()
    here = {
        "s3.endpoint": target.endpoint_url or "",
        "s3.path-style-access": "true",
        **{f"{prefix}.access-key-id": target.credentials["AWS_ACCESS_KEY_ID"] for prefix in ("s3", "rest")},
        **{f"{prefix}.secret-access-key": target.credentials["AWS_SECRET_ACCESS_KEY"] for prefix in ("s3", "rest")},
    }
    given = {**properties("Spark", stack), **{f"spark.sql.catalog.sales.{key}": value for key, value in here.items()}}
    for key, value in given.items():
        spark.sql(f"SET `{key}`=`{value}`")
    ((found,),) = spark.sql(block("Spark", "sql"))
    assert float(found) == pytest.approx(float(average))


def test_trino(trino: Trino, stack: LocalStack, average: Decimal) -> None:
    target = stack.target()
    given = properties("Trino", stack) | {
        "s3.endpoint": target.endpoint_url or "",
        "s3.path-style-access": "true",
        "s3.aws-access-key": target.credentials["AWS_ACCESS_KEY_ID"],
        "s3.aws-secret-key": target.credentials["AWS_SECRET_ACCESS_KEY"],
    }
    connector = given.pop("connector.name")
    listed = ", ".join(f"\"{key}\" = '{value}'" for key, value in given.items())
    trino.sql(f"CREATE CATALOG sales USING {connector} WITH ({listed})")
    ((found,),) = trino.sql(block("Trino", "sql"))
    # Trino rounds the average of decimals to their four places.
    assert float(found) == pytest.approx(float(average), abs=0.0001)
