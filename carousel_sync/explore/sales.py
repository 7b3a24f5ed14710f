"""``carousel-sync sales``: the projection's access patterns, each of them one Query on a key or an index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

import typer
from boto3.dynamodb.conditions import ConditionBase, Key
from botocore.exceptions import ClientError
from rich import box
from rich.table import Table
from rich.text import Text

from carousel_sync.aws.conditions import condition_parameters
from carousel_sync.aws.target import Target, resolve
from carousel_sync.command_line.console import (
    DEFAULT_STAGE,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    stderr,
    stdout,
    working_on,
)
from carousel_sync.explore.query import json_value
from lambda_fn.aws.batch_requests import Item
from lambda_fn.errors import ConfigurationError
from lambda_fn.sale import EMBEDDING_SHARDS

SALES_FOR_PEOPLE: Final = 500
DEFAULT_DAYS: Final = 30
EMBEDDING: Final = "embedding"

_COLUMNS: Final = {
    "Sold on": "saleDate",
    "Product": "productId",
    "Sale": "saleId",
    "Category": "category",
    "Brand": "brand",
    "Condition": "condition",
    "Listed": "listedPrice",
    "Sold": "salePrice",
    "Discount %": "discountPercent",
    "Days to sell": "daysToSell",
}
_KEYS: Final = frozenset({"PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK"})


@dataclass(frozen=True)
class Access:
    """One way to read the projection: the index (None: the table's own key), and the condition on its two keys."""

    index: str | None
    condition: ConditionBase

    def parameters(self, table: str) -> dict[str, Any]:
        """Return the Query in DynamoDB's notation, newest sale first."""
        return {
            "TableName": table,
            **({"IndexName": self.index} if self.index else {}),
            **condition_parameters("KeyConditionExpression", self.condition),
            "ScanIndexForward": False,
        }


def by_tenant(tenant: str, since: date) -> Access:
    """Ask for a tenant's sales from a date on. The index carries everything but the embedding and the expiry."""
    of_tenant = Key("GSI1PK").eq({"S": f"TENANT#{tenant}"})
    return Access("GSI1", of_tenant & Key("GSI1SK").gte({"S": f"DATE#{since.isoformat()}"}))


def by_product(tenant: str, product: str) -> Access:
    """Ask for all sales of one product, embeddings included."""
    of_product = Key("PK").eq({"S": f"TENANT#{tenant}#PRODUCT#{product}"})
    return Access(None, of_product & Key("SK").begins_with({"S": "SALE#"}))


def by_shard(tenant: str, shard: int, sold_on: date) -> Access:
    """Ask for a tenant's sales of one day in one shard of the embedding index, embeddings included."""
    in_shard = Key("GSI2PK").eq({"S": f"TENANT#{tenant}#EMBEDDING#{shard}"})
    return Access("GSI2", in_shard & Key("GSI2SK").eq({"S": f"DATE#{sold_on.isoformat()}"}))


def sales(
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant whose sales these are.")],
    product: Annotated[str | None, typer.Option("--product", help="All sales of this product.")] = None,
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, help=f"All sales of the last days. Default: {DEFAULT_DAYS}.", show_default=False),
    ] = None,
    shard: Annotated[
        int | None,
        typer.Option("--shard", min=0, max=EMBEDDING_SHARDS - 1, help="With --date: sales with an embedding."),
    ] = None,
    sold_on: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="With --shard: the day of the sale.")
    ] = None,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Look sales up in the projection, newest first: of a tenant, of one product, or of one embedding shard.

    The projection keeps a sale for two years; older ones are in the Iceberg table (carousel-sync query). Indexes
    follow the table within a second or so. Exit code 0 whether there are any sales or not, 1 when they can't be read.
    """
    with readable_errors():
        access = _access(tenant, product, days, shard, sold_on)
        target = resolve(stage, local)
        with working_on(f"Reading the projection at {target}"):
            items = list(read(target, access))
    if as_json:
        print_json([as_document(item) for item in items])
        return
    _show(items)


def read(target: Target, access: Access, page_size: int | None = None) -> Iterator[Item]:
    """Yield the items page by page, however many there are.

    ``page_size`` limits what one request evaluates. Raises ConfigurationError when the table or its index is missing,
    botocore's errors for anything else; items before it were yielded.
    """
    client, table = target.client("dynamodb"), target.settings.projection_table
    paging = {"PageSize": page_size} if page_size else {}
    try:
        for page in client.get_paginator("query").paginate(**access.parameters(table), PaginationConfig=paging):
            yield from page["Items"]
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ResourceNotFoundException" or (code == "ValidationException" and "index" in message):
            what = f"index {access.index} of DynamoDB table {table}" if access.index else f"DynamoDB table {table}"
            raise ConfigurationError(
                f"The {what} can't be read at {target}: {message}. Nothing was changed. What is missing: "
                f"carousel-sync doctor --stage {target.stage}. Deploying the stack again makes it."
            ) from error
        raise


def as_document(item: Item) -> dict[str, Any]:
    """Return an item as JSON has it: without the keys, numbers exact, the embedding as a list of numbers."""
    document = {name: _plain(value) for name, value in sorted(item.items()) if name not in _KEYS}
    if EMBEDDING in document:
        document[EMBEDDING] = json.loads(document[EMBEDDING])
    return document


def _access(tenant: str, product: str | None, days: int | None, shard: int | None, sold_on: datetime | None) -> Access:
    """Choose the access pattern. Raises typer.BadParameter for options that don't go together."""
    ways = [product is not None, days is not None, shard is not None or sold_on is not None]
    if sum(ways) > 1:
        raise typer.BadParameter("choose one of --product, --days, and --shard with --date: each is another index")
    if product is not None:
        return by_product(tenant, product)
    if shard is not None and sold_on is not None:
        return by_shard(tenant, shard, sold_on.date())
    if shard is not None or sold_on is not None:
        raise typer.BadParameter("--shard and --date go together: the index is read by shard and day")
    return by_tenant(tenant, datetime.now(UTC).date() - timedelta(days=days or DEFAULT_DAYS))


def _plain(value: Mapping[str, str]) -> Any:
    return json_value(Decimal(value["N"])) if "N" in value else value.get("S")


def _show(items: list[Item]) -> None:
    if not items:
        stdout.print("No sales.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    numeric = {name for name, attribute in _COLUMNS.items() if any("N" in item.get(attribute, {}) for item in items)}
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    for item in items[:SALES_FOR_PEOPLE]:
        table.add_row(*(Text(_for_people(item.get(attribute))) for attribute in _COLUMNS.values()))
    stdout.print(table, highlight=False)
    stdout.print(f"{len(items):,} sales" if len(items) != 1 else "1 sale", highlight=False)
    if len(items) > SALES_FOR_PEOPLE:
        stderr.print(f"These are the newest {SALES_FOR_PEOPLE}. All of them: --json.")


def _for_people(value: Mapping[str, str] | None) -> str:
    if value is None:
        return ""
    return f"{Decimal(value['N']):,}" if "N" in value else value.get("S", "")
