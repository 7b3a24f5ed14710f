"""The sales nearest to a sale by embedding, on DuckDB: ``carousel-sync sales --similar-to``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from carousel_sync.explore.duckdb_table import open_table
from carousel_sync.explore.similar_sales import NotComparable, nearest_sales
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from lambda_fn.wiring import build
from tests.builders import body, embedding, sale
from tests.infrastructure.conftest import batch
from tests.sales_with_embeddings import GIVEN, LEFT_OUT, PRECISION, TENANT, sales_with_embeddings, similarities, write
from tests.tables import provisioned, sqlite_config

ALL = 1000
SALES = sales_with_embeddings()


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBPyConnection]:
    table = provisioned(sqlite_config(tmp_path_factory.mktemp("lake")))
    write(table, SALES)
    with closing(open_table(table.load().metadata_location)) as opened:
        yield opened


def found(connection: DuckDBPyConnection, sale_id: str, limit: int = ALL, tenant: str = TENANT) -> dict[str, float]:
    nearest = nearest_sales(connection, tenant, sale_id, limit)
    return {row[1]: row[0] for row in nearest.result.rows}


@pytest.mark.parametrize("sale_id", [GIVEN, "opposite", "tiny", "short"])
def test_every_sale_has_its_similarity(connection: DuckDBPyConnection, sale_id: str) -> None:
    assert found(connection, sale_id) == pytest.approx(similarities(SALES, sale_id), abs=PRECISION)


def test_the_nearest_sale_is_first_and_the_opposite_one_last(connection: DuckDBPyConnection) -> None:
    names = list(found(connection, GIVEN))
    assert set(names[:2]) == {"the same", "twice as long"}
    assert names[-1] == "opposite"
    values = list(found(connection, GIVEN).values())
    assert values == sorted(values, reverse=True)


def test_the_limit(connection: DuckDBPyConnection) -> None:
    assert list(found(connection, GIVEN, 3)) == list(found(connection, GIVEN))[:3]


def test_sales_of_another_dimension_are_left_out_and_counted(connection: DuckDBPyConnection) -> None:
    assert nearest_sales(connection, TENANT, GIVEN, 1).left_out == LEFT_OUT
    assert not {"short", "short too", "shortest", "zeros", "without"} & found(connection, GIVEN).keys()


def test_the_only_embedding_of_a_tenant_is_near_to_nothing(connection: DuckDBPyConnection) -> None:
    assert found(connection, "of another tenant", tenant="tenant-1") == {}


@pytest.mark.parametrize(
    ("sale_id", "message"),
    [
        ("unknown", r"Tenant \"tenant's 0\" has no sale 'unknown' in the Iceberg table"),
        ("' OR 1=1 --", "has no sale"),
        ("without", "Sale 'without' .* has no embedding"),
        ("zeros", "contains only zeros"),
        ("shortest", "has dimension 4, .* have another: 8, 64"),
    ],
)
def test_a_sale_that_cannot_be_compared(connection: DuckDBPyConnection, sale_id: str, message: str) -> None:
    with pytest.raises(NotComparable, match=message):
        nearest_sales(connection, TENANT, sale_id, ALL)


def test_a_sale_id_with_two_rows(tmp_path: Path) -> None:
    table = provisioned(sqlite_config(tmp_path))
    write(table, [sale(sale_id="twice", embedding=embedding(4, seed=seed)) for seed in (1, 2)])
    with (
        closing(open_table(table.load().metadata_location)) as opened,
        pytest.raises(NotComparable, match=r"has 2 rows .* carousel-sync dedupe"),
    ):
        nearest_sales(opened, "tenant-1", "twice", ALL)


# --- the command -----------------------------------------------------------------------------------------------------

ON_THE_STACK = "tenant-similar"


@pytest.fixture(scope="module")
def written(stack: LocalStack) -> LocalStack:
    """The stack with three sales, one of which has an embedding of another dimension, and one without any."""
    target = stack.target()
    application = build(replace(target.settings, catalog=target.catalog_config))
    vectors = {"a": [1.0, 0.0], "b": [1.0, 1.0], "c": [1.0, 2.0, 3.0], "none": None}
    bodies = [
        body(
            tenantId=ON_THE_STACK,
            saleId=f"sale-{name}",
            productId=f"product-of-{name}",
            brand="[red]Gucci[/red]",
            **({"embedding": vector} if vector else {}),
        )
        for name, vector in vectors.items()
    ]
    assert application.handle(batch(*bodies), None) == {"batchItemFailures": []}
    return stack


def run(stack: LocalStack, *arguments: str, columns: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command with its output piped, on a terminal of this width if one is given."""
    environment = {**os.environ, STATE_DIR_VARIABLE: str(stack.directory), "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    if columns:
        environment["COLUMNS"] = str(columns)
    program = Path(sys.executable).with_name("carousel-sync")
    words = [str(program), "sales", "--tenant", ON_THE_STACK, *arguments, "--local"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_the_command_prints_the_nearest_sales(written: LocalStack) -> None:
    shown = run(written, "--similar-to", "sale-a", columns=200)
    assert shown.returncode == 0, shown.stderr
    assert "0.707107" in shown.stdout
    assert "[red]Gucci[/red]" in shown.stdout
    assert "Sales left out, because their embeddings have another dimension: 1" in shown.stderr


@pytest.mark.parametrize("columns", [80, None])
def test_the_output_fits_into_80_columns(written: LocalStack, columns: int | None) -> None:
    shown = run(written, "--similar-to", "sale-a", columns=columns)
    assert shown.returncode == 0, shown.stderr
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80
    assert "sale-b" in shown.stdout
    assert "product-of-b" in shown.stdout


def test_the_command_prints_json(written: LocalStack) -> None:
    printed = run(written, "--similar-to", "sale-a", "--limit", "1", "--json")
    assert printed.returncode == 0, printed.stderr
    (document,) = json.loads(printed.stdout)
    assert document["sale_id"] == "sale-b"
    assert document["similarity"] == pytest.approx(0.5**0.5, abs=PRECISION)
    assert document["sold_price"] == 450.5


@pytest.mark.parametrize(
    ("sale_id", "message"),
    [("no-such-sale", "has no sale"), ("sale-none", "has no embedding"), ("sale-c", "of different dimensions")],
)
def test_the_command_says_why_a_sale_cannot_be_compared(written: LocalStack, sale_id: str, message: str) -> None:
    refused = run(written, "--similar-to", sale_id)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.lstrip().startswith("Error: ")
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--limit", "3"),
        ("--similar-to", "sale-a", "--limit", "0"),
        ("--similar-to", "sale-a", "--days", "3"),
        ("--similar-to", "sale-a", "--product", "p"),
    ],
)
def test_options_that_cannot_be_combined_are_usage_errors(written: LocalStack, arguments: tuple[str, ...]) -> None:
    refused = run(written, *arguments)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
