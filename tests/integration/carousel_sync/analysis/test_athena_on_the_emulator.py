"""Running SQL on the emulator's Athena with boto3's own client. The emulator's Athena has no Iceberg tables here."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from carousel_sync.analysis.athena import Place, run_on_athena
from carousel_sync.explore.sql import QueryFailed
from carousel_sync.local_stack.stack import LocalStack


@pytest.fixture
def client(stack: LocalStack) -> Any:
    return stack.target().client("athena")


@pytest.fixture
def place(stack: LocalStack, client: Any) -> Iterator[Place]:
    name = f"results-{uuid.uuid4().hex}"
    stack.target().client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": stack.target().region}
    )
    client.create_work_group(
        Name=name, Configuration={"ResultConfiguration": {"OutputLocation": f"s3://{name}/results/"}}
    )
    yield Place(name, "AwsDataCatalog")
    client.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)


def test_rows_and_their_types(client: Any, place: Place) -> None:
    seen: list[str] = []
    sql = "SELECT 'handbags' AS category, CAST(2 AS bigint) AS sales, CAST(1.5 AS decimal(18, 2)) AS price"
    answer = run_on_athena(client, place, sql, seen.append)
    assert answer.result.columns == ["category", "sales", "price"]
    assert list(answer.result.rows) == [("handbags", 2, Decimal("1.50"))]
    assert answer.execution_id
    assert seen[-1].startswith("Athena: succeeded")


def test_a_mistake_in_the_sql_is_reported(client: Any, place: Place) -> None:
    with pytest.raises(QueryFailed, match="FAILED"):
        run_on_athena(client, place, "SELECT missing FROM nowhere")
