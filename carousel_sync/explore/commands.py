"""``carousel-sync query`` and ``carousel-sync sales``: SQL over the Iceberg table, and look-ups of sales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

import typer
from more_itertools import peekable

from carousel_sync.analysis.on_duckdb import run_athena_sql
from carousel_sync.analysis.parameters import Given
from carousel_sync.analysis.query_file import prepared, queries
from carousel_sync.aws.target import Target
from carousel_sync.command_line import console
from carousel_sync.command_line.query_options import (
    AsOfOption,
    DaysOption,
    FromOption,
    MonthOption,
    TenantOption,
    TenantsOption,
    ToOption,
)
from carousel_sync.command_line.queue_hint import show_waiting_events
from carousel_sync.command_line.stage import resolve
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.explore.duckdb_table import VIEW, open_sales
from carousel_sync.explore.projection_queries import AccessPattern, as_document, by_product, by_shard, by_tenant, read
from carousel_sync.explore.results import show, write_csv, write_json
from carousel_sync.explore.similar_sales import nearest_sales
from carousel_sync.explore.sql import Result, run
from lambda_fn.aws.batch_requests import Item
from lambda_fn.event import PRICE_DECIMALS
from lambda_fn.sale import EMBEDDING_SHARDS
from schemas.sales_history import NAMESPACE

SALES_SHOWN: Final = 500
DEFAULT_DAYS: Final = 30
MOST_DAYS: Final = 36_500
"""A hundred years; the projection keeps a sale for two."""
DEFAULT_SIMILAR: Final = 10

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


def query(
    sql: Annotated[
        str | None,
        typer.Argument(
            help=f"SQL in DuckDB's dialect. The table's name is {VIEW} or {NAMESPACE}.{VIEW}.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Run this query of queries/athena (see --list).", show_default=False)
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the queries of queries/athena.")] = False,
    tenant: TenantOption = None,
    month: MonthOption = None,
    days: DaysOption = None,
    k: TenantsOption = None,
    as_of: AsOfOption = None,
    first_month: FromOption = None,
    last_month: ToOption = None,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: console.JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """Run SQL over the current version of the Iceberg table.

    Give the SQL, or --name with the name of a file in queries/athena, which DuckDB runs in place of Athena. The other
    options are its parameters.

    The default output shortens long lists; --json and --csv print every value.
    """
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if [sql is not None, name is not None, show_list].count(True) != 1:
        raise typer.BadParameter("give one of: SQL, --name, --list")
    with console.readable_errors():
        if show_list:
            _show_queries(as_json)
            return
        given = Given(
            tenant=tenant,
            month=month,
            days=days,
            k=k,
            as_of=as_of,
            first_month=first_month,
            last_month=last_month,
        ).values()
        if sql is not None and given:
            raise typer.BadParameter(
                "--tenant, --month, --days, --k, --as-of, --from and --to are parameters of --name"
            )
        statement = prepared(name, given) if name else sql or ""
        target = resolve(stage, local)
        with console.working_on(f"Opening the Iceberg table at {target}"):
            table = target.load_table()
            connection = open_sales(target, table)
        with connection:
            with console.working_on("Running the query"):
                result = run_athena_sql(connection, table, statement) if name else run(connection, statement)
            rows = peekable(result.rows)
            found_nothing = not rows
            _show_result(Result(result.columns, rows), as_json, as_csv)
        if found_nothing or table.current_snapshot() is None:
            show_waiting_events(target)


def sales(
    tenant: Annotated[str, typer.Option(help="The tenant whose sales to print.")],
    product: Annotated[str | None, typer.Option(help="Print all sales of this product.")] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_DAYS,
            help=f"Print the sales of the last DAYS days. Default: {DEFAULT_DAYS}.",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        int | None,
        typer.Option(min=0, max=EMBEDDING_SHARDS - 1, help="With --date: print the sales in this embedding shard."),
    ] = None,
    sold_on: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="With --shard: the day of the sale.")
    ] = None,
    similar_to: Annotated[
        str | None,
        typer.Option(metavar="SALE", help="Print the sales whose embeddings are nearest to that of this sale."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=SALES_SHOWN,
            help=f"With --similar-to: how many. Default: {DEFAULT_SIMILAR}.",
            show_default=False,
        ),
    ] = None,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: console.JsonOption = False,
) -> None:
    """Print sales from the projection: by tenant, by product, or by embedding shard.

    The newest sale is first. The projection keeps a sale for two years; carousel-sync query finds older ones in the
    Iceberg table. Indexes follow the table within about a second.

    --similar-to compares the embeddings of all sales of the tenant in the Iceberg table, by cosine similarity. The
    nearest sale is first.

    Exit code 0: the sales, if any, were printed; 1: they can't be read or compared.
    """
    if limit is not None and similar_to is None:
        raise typer.BadParameter("--limit needs --similar-to")
    if similar_to is not None:
        if [product, days, shard, sold_on] != [None] * 4:
            raise typer.BadParameter("--similar-to can't be combined with --product, --days, --shard or --date")
        with console.readable_errors():
            _print_similar(resolve(stage, local), tenant, similar_to, limit or DEFAULT_SIMILAR, as_json)
        return
    pattern = _access_pattern(tenant, product, days, shard, sold_on)
    with console.readable_errors():
        target = resolve(stage, local)
        with console.working_on(f"Reading the projection at {target}"):
            items = list(read(target, pattern))
    if as_json:
        console.print_json([as_document(item) for item in items])
    else:
        _show(items)
    if not items:
        show_waiting_events(target)


def _print_similar(target: Target, tenant: str, sale_id: str, limit: int, as_json: bool) -> None:
    with console.working_on(f"Opening the Iceberg table at {target}"):
        connection = open_sales(target)
    with connection:
        with console.working_on("Comparing the embeddings"):
            nearest = nearest_sales(connection, tenant, sale_id, limit)
        _show_result(nearest.result, as_json, as_csv=False)
    if nearest.left_out:
        console.stderr.print(f"Sales left out, because their embeddings have another dimension: {nearest.left_out:,}")


def _show_result(result: Result, as_json: bool, as_csv: bool) -> None:
    if as_json:
        write_json(result)
    elif as_csv:
        write_csv(result)
    else:
        show(result, console.stdout)


def _show_queries(as_json: bool) -> None:
    listed = [
        {"name": each.name, "question": each.question, "parameters": each.parameters, "reads": each.reads}
        for each in queries().values()
    ]
    if as_json:
        console.print_json(listed)
    else:
        texts = [[str(each["name"]), str(each["question"])] for each in listed]
        show_table(("Name", Column("Question", Kind.PROSE)), texts, console.stdout)


def _access_pattern(
    tenant: str, product: str | None, days: int | None, shard: int | None, sold_on: datetime | None
) -> AccessPattern:
    """Choose the access pattern. Raises typer.BadParameter for options that can't be combined."""
    if sum([product is not None, days is not None, shard is not None or sold_on is not None]) > 1:
        raise typer.BadParameter("choose one of --product, --days, and --shard with --date: each reads another index")
    if product is not None:
        return by_product(tenant, product)
    if shard is not None and sold_on is not None:
        return by_shard(tenant, shard, sold_on.date())
    if shard is not None or sold_on is not None:
        raise typer.BadParameter("--shard and --date need each other: the index is read by shard and day")
    return by_tenant(tenant, datetime.now(UTC).date() - timedelta(days=days or DEFAULT_DAYS))


def _show(items: Sequence[Item]) -> None:
    if not items:
        console.stdout.print("No sales.")
        return
    columns = [
        Column(name, Kind.NUMBER if any("N" in item.get(attribute, {}) for item in items) else Kind.VALUE)
        for name, attribute in _COLUMNS.items()
    ]
    texts = [[_readable(item.get(attribute)) for attribute in _COLUMNS.values()] for item in items[:SALES_SHOWN]]
    show_table(columns, texts, console.stdout)
    console.stdout.print(f"{len(items):,} sales" if len(items) != 1 else "1 sale")
    if len(items) > SALES_SHOWN:
        console.stderr.print(f"Only the newest {SALES_SHOWN} are shown. For all of them, use --json.")


def _readable(value: Mapping[str, str] | None) -> str:
    if value is None:
        return ""
    if "N" not in value:
        return value.get("S", "")
    number = Decimal(value["N"])
    # A price has up to four decimals. Only a calculated number, such as a discount, has more.
    exponent = number.as_tuple().exponent
    return f"{number:,.2f}" if isinstance(exponent, int) and exponent < -PRICE_DECIMALS else f"{number:,}"
