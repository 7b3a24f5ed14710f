"""The projection's access patterns on the embedded stack: ``carousel-sync sales``, and queries/dynamodb.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key

from carousel_sync.aws.target import Target
from carousel_sync.explore.projection_queries import (
    AccessPattern,
    as_document,
    by_product,
    by_shard,
    by_tenant,
    read,
)
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.errors import ConfigurationError
from lambda_fn.event import parse_message
from lambda_fn.guard.items import claimed_item
from lambda_fn.projection.item import item_of
from lambda_fn.sale import Sale
from tests.aws_cli import commands_of, request_of, run_aws
from tests.builders import embedding, sale

PAGE = PROJECT_ROOT / "queries" / "dynamodb.md"
TODAY = datetime.now(UTC).date()


def example_sale() -> Sale:
    content = parse_message("example", (PROJECT_ROOT / "examples" / "carousel-sold-event.json").read_text(), "").content
    assert isinstance(content, Sale)
    return content


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


PRODUCT = "product-of-five"
SALES = [
    # Five sales of the same product and day, which have the same key in the index.
    *(
        sale(
            tenant_id="tenant-sales",
            product_id=PRODUCT,
            sale_id=f"five-{number}",
            sold_date=days_ago(3),
            embedding=embedding(8, seed=number),
        )
        for number in range(5)
    ),
    sale(tenant_id="tenant-sales", product_id="plain", sale_id="recent", sold_date=days_ago(1)),
    sale(tenant_id="tenant-sales", product_id="plain", sale_id="old", sold_date=days_ago(31)),
    sale(tenant_id="tenant-sales-2", product_id=PRODUCT, sale_id="of-another-tenant", sold_date=days_ago(3)),
]
SHARD = SALES[0].embedding_shard


@pytest.fixture(scope="module")
def target(stack: LocalStack) -> Iterator[Target]:
    """The stack with sales in its projection and the example's claim in its guard."""
    found = stack.target()
    client, settings = found.client("dynamodb"), found.settings
    items = [item_of(stored) for stored in (example_sale(), *SALES)]
    # Claimed now, because the emulator deletes expired items.
    claim = claimed_item(example_sale().key, example_sale().facts, 7, -1, time.time(), lease_seconds=60)
    written = [(settings.projection_table, item, ("PK", "SK")) for item in items]
    written.append((settings.guard_table, claim, ("pk", "sk")))
    for table, item, _ in written:
        client.put_item(TableName=table, Item=item)
    yield found
    for table, item, keys in written:
        client.delete_item(TableName=table, Key={name: item[name] for name in keys})


def sale_ids(items: Any) -> list[str]:
    return [item["saleId"]["S"] for item in items]


FIVE = {f"five-{number}" for number in range(5)}


@pytest.mark.parametrize("page_size", [None, 1, 2])
@pytest.mark.parametrize(
    ("access", "expected"),
    [
        (by_tenant("tenant-sales", days_ago(30)), {"recent", *FIVE}),
        (by_product("tenant-sales", PRODUCT), FIVE),
        (by_shard("tenant-sales", SHARD, days_ago(3)), FIVE),
        (by_shard("tenant-sales", SHARD, days_ago(1)), set()),
        (by_shard("tenant-sales", (SHARD + 1) % 5, days_ago(3)), set()),
        (by_tenant("tenant", days_ago(30)), set()),
    ],
)
def test_every_page_of_each_access_pattern(
    target: Target, access: AccessPattern, expected: set[str], page_size: int | None
) -> None:
    found = sale_ids(read(target, access, page_size))
    assert sorted(found) == sorted(expected)


def test_the_newest_sale_is_first(target: Target) -> None:
    found = sale_ids(read(target, by_tenant("tenant-sales", days_ago(60))))
    assert (found[0], found[-1]) == ("recent", "old")


def test_a_document_has_exact_numbers_and_the_embedding_as_numbers(target: Target) -> None:
    (item,) = read(target, by_product("carousel-labs", "PROD-LV-12345"))
    document = as_document(item)
    assert (document["listedPrice"], document["salePrice"], document["saleDate"]) == (500, 450, "2025-12-30")
    assert len(document["embedding"]) == document["embeddingDimension"] == 1024
    assert not {"PK", "SK", "GSI1PK", "GSI2SK"} & document.keys()
    assert as_document({"salePrice": {"N": "12345678901234.5678"}}) == {"salePrice": "12345678901234.5678"}


def test_a_missing_index_is_named(target: Target) -> None:
    with pytest.raises(ConfigurationError, match=r"index GSI9 of DynamoDB table .* carousel-sync doctor"):
        list(read(target, AccessPattern("GSI9", Key("GSI9PK").eq({"S": "TENANT#x"}))))


# --- the command -----------------------------------------------------------------------------------------------------


def run(stack: LocalStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, STATE_DIR_VARIABLE: str(stack.directory), "NO_COLOR": "1", "COLUMNS": "200"}
    program = Path(sys.executable).with_name("carousel-sync")
    return subprocess.run(
        [program, "sales", *arguments, "--local"], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("target")
def test_the_command_prints_a_table_and_json(stack: LocalStack) -> None:
    shown = run(stack, "--tenant", "tenant-sales")
    assert shown.returncode == 0, shown.stderr
    assert "6 sales" in shown.stdout
    assert "recent" in shown.stdout
    assert "450.5" in shown.stdout
    printed = run(stack, "--tenant", "tenant-sales", "--shard", str(SHARD), "--date", str(days_ago(3)), "--json")
    assert printed.returncode == 0, printed.stderr
    assert {document["saleId"] for document in json.loads(printed.stdout)} == FIVE
    nothing = run(stack, "--tenant", "tenant-sales", "--product", "no-such-product", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--product", "p", "--days", "3"),
        ("--shard", "1"),
        ("--date", "2026-01-01"),
        ("--shard", "5", "--date", "2026-01-01"),
        ("--shard", "1", "--date", "yesterday"),
        ("--days", "0"),
    ],
)
def test_options_that_cannot_be_combined_are_usage_errors(stack: LocalStack, arguments: tuple[str, ...]) -> None:
    refused = run(stack, "--tenant", "t", *arguments)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


# --- the page --------------------------------------------------------------------------------------------------------


def commands() -> list[str]:
    return commands_of(PAGE.read_text())


def test_every_command_of_the_page_finds_the_example(target: Target) -> None:
    for command in commands():
        answer = run_aws(target, command)
        found = answer["Items"] if "Items" in answer else [answer["Item"]]
        ids = [(item.get("saleId") or item["eventId"])["S"] for item in found]
        assert example_sale().key.sale_id in ids, command


def with_plain_condition(parameters: dict[str, Any]) -> dict[str, Any]:
    """Replace the placeholders in a Query's condition, which page and command name differently."""
    names = parameters.pop("ExpressionAttributeNames", {})
    values = parameters.pop("ExpressionAttributeValues")
    condition = parameters["KeyConditionExpression"]
    for placeholder, given in (names | values).items():
        condition = condition.replace(placeholder, str(given))
    return {**parameters, "KeyConditionExpression": condition[1:-1] if condition.startswith("(") else condition}


def test_the_page_has_the_queries_of_the_command(target: Target) -> None:
    table = target.settings.projection_table
    asked = [request_of(target, command)[2] for command in commands() if " query " in command]
    assert [with_plain_condition(parameters) for parameters in asked] == [
        with_plain_condition(access.parameters(table))
        for access in (
            by_tenant("carousel-labs", date(2025, 12, 1)),
            by_product("carousel-labs", "PROD-LV-12345"),
            by_shard("carousel-labs", example_sale().embedding_shard, date(2025, 12, 30)),
        )
    ]


def test_the_page_names_the_options_of_the_command() -> None:
    named = re.findall(r"`carousel-sync sales ([^`]+)`", PAGE.read_text())
    assert [re.sub(r"(--[a-z]+) \S+", r"\1", options) for options in named] == [
        "--tenant --days",
        "--tenant --product",
        "--tenant --shard --date",
    ]


def test_a_mistake_in_a_command_is_noticed(target: Target) -> None:
    good = commands()[0]
    with pytest.raises(AssertionError, match="no option"):
        run_aws(target, good.replace("--index-name", "--index"))
    with pytest.raises(AssertionError, match="no operation"):
        run_aws(target, good.replace("dynamodb query", "dynamodb ask"))
    assert run_aws(target, good.replace("TENANT#carousel-labs", "TENANT#*"))["Items"] == []
