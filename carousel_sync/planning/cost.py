"""``carousel-sync cost``: what a month costs at list prices, line by line, and where the prices are from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from carousel_sync.command_line.console import JsonOption, print_json, readable_errors, stdout
from carousel_sync.planning.bill import PROJECTION_MONTHS, Bill, Workload, bill
from carousel_sync.planning.bytes_per_sale import SaleSizes, measure
from carousel_sync.planning.durations import cpu_milliseconds, lambda_milliseconds, log_bytes
from carousel_sync.planning.prices import LIST_PRICES, LOOKED_UP, REGION, Prices, elsewhere, with_overrides

A_MILLION: Final = 1_000_000
FIRST_ESTIMATE: Final = {"Lambda": 16.67, "DynamoDB": 0.50, "S3 Tables": 1.00, "EventBridge": 0.50}
"""What a million events were first said to cost, in US dollars a month; docs/performance.md says what is wrong with it.
"""
MONTHS: Final = (1, PROJECTION_MONTHS)
"""The first month, and the one from which on the projection forgets as much as it takes in."""

EmbeddingOption = Annotated[int, typer.Option("--embedding", help="Values in each embedding; 0 for none.")]
MemoryOption = Annotated[int, typer.Option("--memory", min=128, max=10_240, help="The function's memory in MB.")]
PartitionsOption = Annotated[
    float, typer.Option("--partitions", min=1, help="Data files of a commit: tenants times months of sale in a batch.")
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="NAME=USD", help="Another price, for the same units; may be repeated."),
]


def cost(
    events_per_month: Annotated[float, typer.Option("--events-per-month", min=1, help="Sales a month.")] = A_MILLION,
    embedding: EmbeddingOption = 1024,
    sales_per_commit: Annotated[
        float,
        typer.Option("--sales-per-commit", min=1, help="Sales that share a batch, and so a snapshot, on average."),
    ] = 500,
    partitions: PartitionsOption = 3,
    memory: MemoryOption = 512,
    milliseconds_per_batch: Annotated[
        float | None,
        typer.Option(
            "--milliseconds-per-batch",
            min=0,
            help="The function's metric Duration. Default: estimated from CPU time measured on another machine.",
            show_default=False,
        ),
    ] = None,
    retention_hours: Annotated[
        float, typer.Option("--retention-hours", min=1, help="How long the table retains snapshots.")
    ] = 6,
    price: PriceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work out a month's bill at list prices, each with its source and date: estimates to be checked, no offer.

    Storage grows for as long as sales are kept: the first month is shown, and the 24th.
    """
    with readable_errors():
        prices = with_overrides(LIST_PRICES, price or (), datetime.now(UTC).date())
        estimated = lambda_milliseconds(cpu_milliseconds(sales_per_commit, embedding), memory)
        workload = Workload(
            events=events_per_month,
            sizes=measure(embedding),
            sales_per_commit=sales_per_commit,
            lambda_milliseconds=estimated if milliseconds_per_batch is None else milliseconds_per_batch,
            memory_mb=memory,
            log_bytes_per_batch=log_bytes(sales_per_commit),
            partitions_per_commit=partitions,
            snapshot_retention_hours=retention_hours,
        )
        bills = monthly_bills(workload, prices)
    if as_json:
        print_json({"embedding": embedding, **as_document(workload, bills, prices)})
    else:
        _show(workload, bills, prices)


def monthly_bills(workload: Workload, prices: Prices) -> list[Bill]:
    """Return the bills of the months that are shown."""
    return [bill(replace(workload, months_stored=months), prices) for months in MONTHS]


def write_units(sizes: SaleSizes) -> float:
    """Return how many write units one sale takes in DynamoDB, in both tables and both indexes."""
    return sizes.claim_units + sizes.completion_units + sizes.item_units + sizes.gsi1_units + sizes.gsi2_units


def as_document(workload: Workload, bills: Sequence[Bill], prices: Prices) -> dict[str, Any]:
    """Return a workload with its bills and prices as JSON has it."""
    return {
        "events_per_month": workload.events,
        "region": REGION,
        "prices_looked_up": LOOKED_UP.isoformat(),
        "sales_per_commit": workload.sales_per_commit,
        "lambda_milliseconds_per_batch": round(workload.lambda_milliseconds, 1),
        "sizes": {name: round(value, 2) for name, value in vars(workload.sizes).items()},
        "write_units_per_sale": round(write_units(workload.sizes), 3),
        "months": [{"month": months, **one.as_json()} for months, one in zip(MONTHS, bills, strict=True)],
        "first_estimate_usd": round(sum(FIRST_ESTIMATE.values()) * workload.events / A_MILLION, 4),
        "prices": [price.as_json() for price in prices.values()],
    }


def _show(workload: Workload, bills: Sequence[Bill], prices: Prices) -> None:
    stdout.print(_lines_table(workload, bills))
    stdout.print(summary_table(workload.events, bills))
    sizes = workload.sizes
    stdout.print(
        f"DynamoDB is {bills[0].share('DynamoDB'):.0%} of the first month. One sale takes "
        f"{write_units(sizes):.0f} write units: {sizes.claim_units + sizes.completion_units:.0f} in the guard, "
        f"{sizes.item_units:.0f} for its item of {sizes.item_bytes / 1024:.1f} KB, {sizes.gsi1_units:.0f} in the index "
        f"by tenant and date, {sizes.gsi2_units:.0f} in the one by embedding shard, which carries the embedding again.",
        highlight=False,
    )
    stdout.print(_price_table(prices))
    show_caveats(prices)


def _lines_table(workload: Workload, bills: Sequence[Bill]) -> Table:
    title = f"{workload.events:,.0f} sales a month, {workload.sales_per_commit:,.0f} in a commit"
    table = Table("", "What", title=title)
    for heading in ("Quantity in month 1", *(f"Month {months}, $" for months in MONTHS)):
        table.add_column(heading, justify="right")
    service = ""
    for of_months in zip(*(one.lines for one in bills), strict=True):
        first = of_months[0]
        if first.service != service:
            table.add_section()
        name = first.service if first.service != service else ""
        service = first.service
        quantity = f"{first.quantity:,.3g}" if first.quantity < 1 else f"{first.quantity:,.0f}"
        table.add_row(name, first.what, quantity, *(f"{line.usd:,.2f}" for line in of_months))
    return table


def summary_table(events: float, bills: Sequence[Bill]) -> Table:
    """Return the bills by service, the first estimate beside them."""
    table = Table("A month, $")
    for heading in (*(f"Month {months}" for months in MONTHS), "First estimate"):
        table.add_column(heading, justify="right")
    scale = events / A_MILLION
    for service in bills[0].by_service:
        first = f"{FIRST_ESTIMATE[service] * scale:,.2f}" if service in FIRST_ESTIMATE else "-"
        table.add_row(service, *(f"{one.by_service[service]:,.2f}" for one in bills), first)
    table.add_section()
    total = f"{sum(FIRST_ESTIMATE.values()) * scale:,.2f}"
    table.add_row("Total", *(f"{one.usd:,.2f}" for one in bills), total, style="bold")
    return table


def _price_table(prices: Prices) -> Table:
    table = Table(title="List prices")
    table.add_column("Price", no_wrap=True)
    table.add_column("$", justify="right")
    table.add_column("for")
    table.add_column("Source")
    table.add_column("Region", no_wrap=True)
    table.add_column("As of", no_wrap=True)
    for price in prices.values():
        table.add_row(
            price.name,
            f"{price.usd:f}",
            f"{price.per:,} {price.unit}",
            price.source,
            price.region,
            price.as_of.isoformat(),
        )
    return table


def show_caveats(prices: Prices) -> None:
    """Say what the figures are worth."""
    names = ", ".join(price.name for price in elsewhere(prices))
    borrowed = f" None was found for {REGION} of {names}: those of another region stand in." if names else ""
    stdout.print(
        f"List prices in {REGION}, looked up on {LOOKED_UP} in public copies of AWS's price list: check them on AWS's "
        f"pricing pages.{borrowed} No free allowances, discounts, data transfer, queries, retries or taxes. "
        "Lambda's time is an estimate unless it was given.",
        style="dim",
        highlight=False,
    )
