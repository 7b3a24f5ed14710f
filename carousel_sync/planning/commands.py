"""``carousel-sync cost`` and ``carousel-sync size``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Final

import typer

from carousel_sync.aws.event_bus import REQUEST_LIMIT_BYTES
from carousel_sync.command_line.console import EXIT_FAILED, JsonOption, print_json, readable_errors, stdout
from carousel_sync.command_line.tables import Column, Kind, Row, show_table
from carousel_sync.command_line.text import cell, emphasised
from carousel_sync.planning import capacity, direct, group_commit
from carousel_sync.planning.bill import A_MILLION, MONTHS, Bill, Workload, cost_document, first_estimate, monthly_bills
from carousel_sync.planning.bytes_per_sale import SaleSizes, measure
from carousel_sync.planning.durations import cpu_milliseconds, lambda_milliseconds, log_bytes
from carousel_sync.planning.prices import LIST_PRICES, LOOKED_UP, REGION, Prices, of_other_regions, with_overrides
from lambda_fn.event import EMBEDDING_LIMIT

LONGEST_INVOCATION_MS: Final = 900_000
"""Lambda ends an invocation after 15 minutes."""
MOST_EVENTS: Final = 10**12
"""Sales a month, at most: some 400,000 in each second."""
MOST_HOURS: Final = 87_600
"""Ten years."""


class Mode(StrEnum):
    """How events reach the function: the template's parameter DeliveryMode."""

    QUEUE = "queue"
    DIRECT = "direct"


ModeOption = Annotated[Mode, typer.Option("--mode", help="How events reach the function (DeliveryMode).")]
RoundOption = Annotated[
    float,
    typer.Option(
        "--commit-milliseconds",
        min=1,
        max=LONGEST_INVOCATION_MS,
        help="Direct delivery: how long a leader takes to read the commit queue and the head, and to commit.",
    ),
]
EmbeddingOption = Annotated[
    int, typer.Option("--embedding", min=0, max=EMBEDDING_LIMIT, help="Values in each embedding; 0 for none.")
]
MemoryOption = Annotated[int, typer.Option("--memory", min=128, max=10_240, help="The function's memory in MB.")]
PartitionsOption = Annotated[
    float,
    typer.Option(
        "--partitions", min=1, max=A_MILLION, help="Data files of a commit: tenants times months of sale in a batch."
    ),
]


def cost(
    events_per_month: Annotated[
        float, typer.Option("--events-per-month", min=1, max=MOST_EVENTS, help="Sales a month.")
    ] = A_MILLION,
    embedding: EmbeddingOption = 1024,
    mode: ModeOption = Mode.QUEUE,
    sales_per_commit: Annotated[
        float | None,
        typer.Option(
            "--sales-per-commit",
            min=1,
            max=A_MILLION,
            help="Average number of sales in a commit. Default: 500 with queue delivery, in a batch; with direct "
            "delivery, those that arrive while a commit is made.",
        ),
    ] = None,
    commit_milliseconds: RoundOption = group_commit.ROUND_MILLISECONDS,
    partitions: PartitionsOption = 3,
    memory: MemoryOption = 512,
    milliseconds_per_batch: Annotated[
        float | None,
        typer.Option(
            "--milliseconds-per-batch",
            min=0,
            max=LONGEST_INVOCATION_MS,
            help="The function's metric Duration (of an invocation). Default: estimated from CPU time measured on "
            "another machine.",
        ),
    ] = None,
    retention_hours: Annotated[
        float, typer.Option("--retention-hours", min=1, max=MOST_HOURS, help="How long the table retains snapshots.")
    ] = 6,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="NAME=USD", help="Replace a list price, for the same units; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate a month's bill at list prices, line by line, with the source and date of each price.

    Storage grows for as long as sales are kept, so the bill is shown for the first month and for the 24th.
    """
    with readable_errors():
        prices = with_overrides(LIST_PRICES, price or (), datetime.now(UTC).date())
        sizes = measure(embedding)
        if mode is Mode.DIRECT:
            rate = events_per_month / capacity.SECONDS_OF_A_MONTH
            direct_load = direct.DirectLoad(rate, embedding, commit_milliseconds, memory)
            workload = direct.direct_workload(direct_load, direct.plan_direct(direct_load, sizes), sizes)
            workload = replace(workload, sales_per_commit=sales_per_commit or workload.sales_per_commit)
        else:
            batch = sales_per_commit or 500
            workload = Workload(
                events=events_per_month,
                sizes=sizes,
                sales_per_commit=batch,
                lambda_milliseconds=lambda_milliseconds(cpu_milliseconds(batch, embedding), memory),
                memory_mb=memory,
                log_bytes_per_batch=log_bytes(batch),
                partitions_per_commit=partitions,
            )
        workload = replace(workload, snapshot_retention_hours=retention_hours)
        if milliseconds_per_batch is not None:
            workload = replace(workload, lambda_milliseconds=milliseconds_per_batch)
        bills = monthly_bills(workload, prices)
    if as_json:
        print_json({"embedding": embedding, **cost_document(workload, bills, prices)})
    else:
        _show_cost(workload, bills, prices)


def size(
    events_per_second: Annotated[
        float,
        typer.Option(
            "--events-per-second", min=0.0001, max=A_MILLION, help="Average load; the settings have room for peaks."
        ),
    ],
    delay_seconds: Annotated[
        float, typer.Option("--delay-seconds", min=1, max=86_400, help="Longest time until a sale can be queried.")
    ] = 60,
    embedding: EmbeddingOption = 1024,
    event_bytes: Annotated[
        float | None,
        typer.Option(
            "--event-bytes",
            min=100,
            max=REQUEST_LIMIT_BYTES,
            help="Size of an event as JSON. Default: measured on generated events.",
        ),
    ] = None,
    memory: MemoryOption = 512,
    partitions: PartitionsOption = 3,
    commits_per_second: Annotated[
        float,
        typer.Option("--commits-per-second", min=0.01, max=1_000, help="Most commits that are planned for the table."),
    ] = capacity.COMMITS_PER_SECOND,
    mode: ModeOption = Mode.QUEUE,
    commit_milliseconds: RoundOption = group_commit.ROUND_MILLISECONDS,
    as_json: JsonOption = False,
) -> None:
    """Choose batch size, window, concurrency and snapshot retention for a load; exit code 1 if no settings suffice.

    With --mode direct: how many sales share a commit, how long they wait for it, and the concurrency to reserve.
    """
    with readable_errors():
        sizes = measure(embedding)
        if mode is Mode.DIRECT:
            _size_direct(direct.DirectLoad(events_per_second, embedding, commit_milliseconds, memory), sizes, as_json)
            return
        load = capacity.Load(
            events_per_second, event_bytes or sizes.event_bytes, embedding, delay_seconds, memory, commits_per_second
        )
        plan = capacity.plan_capacity(load)
        workload = capacity.workload_of(load, plan, sizes, partitions)
        bills = monthly_bills(workload, LIST_PRICES)
    if as_json:
        print_json({**vars(plan), "cost": cost_document(workload, bills, LIST_PRICES)})
    else:
        _show_plan(load, plan, bills)
    if plan.problems:
        raise typer.Exit(EXIT_FAILED)


def _size_direct(load: direct.DirectLoad, sizes: SaleSizes, as_json: bool) -> None:
    plan = direct.plan_direct(load, sizes)
    workload = direct.direct_workload(load, plan, sizes)
    bills = monthly_bills(workload, LIST_PRICES)
    if as_json:
        print_json({**vars(plan), "cost": cost_document(workload, bills, LIST_PRICES)})
    else:
        _show_direct(load, plan, bills)
    if plan.problems:
        raise typer.Exit(EXIT_FAILED)


def _show_cost(workload: Workload, bills: Sequence[Bill], prices: Prices) -> None:
    sizes = workload.sizes
    _show_lines(workload, bills)
    _show_summary(workload, bills)
    stdout.print(
        f"{sizes.write_units:.0f} write units a sale: {sizes.guard_units:.0f} in the guard, {sizes.item_units:.0f} for "
        f"its item of {sizes.item_bytes / 1024:.1f} KB, {sizes.gsi1_units:.0f} in the index by tenant and date, "
        f"{sizes.gsi2_units:.0f} in the index by embedding shard, which contains the embedding again.",
    )
    columns = ("Price", Column("$", Kind.NUMBER), "for", Column("Source", Kind.PROSE), "Region", "As of")
    rows = [
        (each.name, f"{each.usd:f}", f"{each.per:,} {each.unit}", each.source, each.region, each.as_of.isoformat())
        for each in prices.values()
    ]
    show_table(columns, rows, stdout, "List prices")
    _show_caveats(prices)


def _show_lines(workload: Workload, bills: Sequence[Bill]) -> None:
    title = f"{workload.events:,.0f} sales a month, {workload.sales_per_commit:,.0f} in a commit"
    numbers = ("Quantity in month 1", *(f"Month {month}, $" for month in MONTHS))
    columns = [Column("Service"), Column("What", Kind.PROSE), *(Column(heading, Kind.NUMBER) for heading in numbers)]
    rows: list[Row] = []
    lines_of_months = zip(*(bill.lines for bill in bills), strict=True)
    for service, lines in groupby(lines_of_months, lambda of_months: of_months[0].service):
        rows.append(None)
        for of_months in lines:
            line = of_months[0]
            quantity = f"{line.quantity:,.3g}" if line.quantity < 1 else f"{line.quantity:,.0f}"
            amounts = (f"{of_month.usd:,.2f}" for of_month in of_months)
            rows.append((service, line.what, quantity, *amounts))
    show_table(columns, rows, stdout, title)


def _show_summary(workload: Workload, bills: Sequence[Bill]) -> None:
    """Print the bills by service beside the first estimate."""
    numbers = (*(f"Month {month}" for month in MONTHS), "First estimate")
    columns = [Column("A month, $"), *(Column(heading, Kind.NUMBER) for heading in numbers)]
    rows: list[Row] = []
    estimate = first_estimate(workload.events)
    for service in bills[0].by_service:
        estimated = f"{estimate[service]:,.2f}" if service in estimate else "-"
        rows.append((service, *(f"{bill.by_service[service]:,.2f}" for bill in bills), estimated))
    total = ("Total", *(f"{bill.usd:,.2f}" for bill in bills), f"{sum(estimate.values()):,.2f}")
    show_table(columns, [*rows, None, [cell(text, style="bold") for text in total]], stdout)


def _show_plan(load: capacity.Load, plan: capacity.CapacityPlan, bills: list[Bill]) -> None:
    title = f"{load.events_per_second:g} events/s, visible within {load.delay_seconds:g} s"
    metadata, limit = plan.metadata_bytes / 1e6, capacity.METADATA_LIMIT_BYTES / 1e6
    rows = (
        ("Batch size", f"{plan.batch_size:,}", "BatchSize: limited by 6 MB and by half of the time-out"),
        ("Window", f"{plan.window_seconds} s", "BatchWindowSeconds: what the delay allows"),
        ("Concurrency", f"{plan.concurrency}", "MaximumConcurrency: twice the number of busy handlers"),
        ("Snapshot retention", f"{plan.retention_hours} h", "of the table's snapshot management"),
        ("Sales in a commit", f"{plan.sales_per_commit:,.0f}", f"of {_batches(plan.batches_per_commit)}"),
        ("Commits", f"{plan.commits_per_second:.3f}/s", f"planned for the table: {load.table_commits_per_second:g}/s"),
        ("Time of a batch", f"{plan.batch_seconds:.1f} s", f"estimated for {load.memory_mb} MB"),
        ("Visible after", f"{plan.delay_seconds:.1f} s", "at worst: window, batch, and the batch before it"),
        ("metadata.json", f"{metadata:.1f} MB", f"S3 Tables refuses more than {limit:.0f} MB"),
    )
    _show_figures(title, rows, bills, plan.problems, plan.notes)


def _batches(number: float) -> str:
    return "one batch" if number <= 1 else f"{number:,.0f} batches, which share it"


def _show_direct(load: direct.DirectLoad, plan: direct.DirectPlan, bills: list[Bill]) -> None:
    title = f"{load.events_per_second:g} events/s with direct delivery, {load.round_milliseconds:g} ms a commit"
    rounds = f"{group_commit.MEDIAN_ROUNDS:g} and {group_commit.P95_ROUNDS:g}"
    metadata, limit = plan.metadata_bytes / 1e6, capacity.METADATA_LIMIT_BYTES / 1e6
    rows = (
        ("Sales in a commit", f"{plan.group_size:.1f}", "calculated: events that arrive while a commit is made"),
        ("Commits", f"{plan.commits_per_second:.2f}/s", "calculated"),
        ("Snapshots", f"{plan.snapshots_per_hour:,.0f} an hour", "calculated"),
        (
            "Wait for the commit, p50",
            f"{plan.p50_milliseconds:.0f} ms",
            f"simulated, p50 and p95: {rounds} commits,",
        ),
        ("Wait for the commit, p95", f"{plan.p95_milliseconds:.0f} ms", "while one is always under way"),
        ("Invocation", f"{plan.invocation_seconds:.2f} s", f"estimated for {load.memory_mb} MB, with the median wait"),
        ("Concurrency", f"{plan.reserved_concurrency:,}", "ReservedConcurrency: twice the number of busy invocations"),
        ("DynamoDB requests", f"{plan.dynamodb_requests_per_sale:.1f} a sale", "looks at the lease are simulated"),
        ("Write units", f"{plan.write_units_per_sale:.1f} a sale", "measured sizes; refused writes are simulated"),
        ("Snapshot retention", f"{plan.retention_hours} h", "of the table's snapshot management"),
        ("metadata.json", f"{metadata:.1f} MB", f"calculated; S3 Tables refuses more than {limit:.0f} MB"),
    )
    _show_figures(title, rows, bills, plan.problems, plan.notes)


def _show_figures(
    title: str,
    rows: Sequence[tuple[str, str, str]],
    bills: Sequence[Bill],
    problems: Sequence[str],
    notes: Sequence[str],
) -> None:
    months = [
        (f"Month {month}", f"${bill.usd:,.2f}", f"DynamoDB: {bill.share('DynamoDB'):.0%}")
        for month, bill in zip(MONTHS, bills, strict=True)
    ]
    columns = ("Figure", Column("Value", Kind.NUMBER), Column("Parameter, or explanation", Kind.PROSE))
    show_table(columns, [*rows, *months], stdout, title)
    for problem in problems:
        stdout.print(emphasised("Problem:", f" {problem}", "bold red"))
    for note in notes:
        stdout.print(emphasised("Note:", f" {note}", "yellow"))
    _show_caveats(LIST_PRICES)


def _show_caveats(prices: Prices) -> None:
    names = ", ".join(price.name for price in of_other_regions(prices))
    borrowed = f" No price in {REGION} was found for {names}: prices of another region are used." if names else ""
    stdout.print(
        f"List prices in {REGION}, looked up on {LOOKED_UP} in public copies of AWS's price list: check them on AWS's "
        f"pricing pages.{borrowed} Not included: free allowances, discounts, data transfer, queries, retries and "
        "taxes. The time in Lambda is an estimate, unless cost was given --milliseconds-per-batch.",
        style="dim",
    )
