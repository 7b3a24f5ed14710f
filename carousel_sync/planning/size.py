"""``carousel-sync size``: settings for a load, and what follows from them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.table import Table

from carousel_sync.command_line.console import EXIT_FAILED, JsonOption, print_json, readable_errors, stdout
from carousel_sync.planning import capacity
from carousel_sync.planning.bill import DAYS_OF_A_MONTH, Bill, Workload
from carousel_sync.planning.bytes_per_sale import SaleSizes, measure
from carousel_sync.planning.cost import (
    EmbeddingOption,
    MemoryOption,
    PartitionsOption,
    as_document,
    monthly_bills,
    show_caveats,
)
from carousel_sync.planning.durations import log_bytes
from carousel_sync.planning.prices import LIST_PRICES

SECONDS_OF_A_MONTH: Final = DAYS_OF_A_MONTH * 24 * 3600
_MEGABYTE: Final = 1_000_000


def size(
    events_per_second: Annotated[
        float, typer.Option("--events-per-second", min=0.0001, help="The load over hours; peaks have headroom.")
    ],
    delay_seconds: Annotated[
        float, typer.Option("--delay-seconds", min=1, help="How long a sale may take until it can be queried.")
    ] = 60,
    embedding: EmbeddingOption = 1024,
    event_bytes: Annotated[
        float | None,
        typer.Option(
            "--event-bytes",
            min=100,
            help="An event as JSON. Default: measured on generated ones.",
            show_default=False,
        ),
    ] = None,
    memory: MemoryOption = 512,
    partitions: PartitionsOption = 3,
    commits_per_second: Annotated[
        float, typer.Option("--commits-per-second", min=0.01, help="What the table is planned to take.")
    ] = capacity.COMMITS_PER_SECOND,
    as_json: JsonOption = False,
) -> None:
    """Choose batch size, window, concurrency and snapshot retention for a load; exit code 1 when none will do."""
    with readable_errors():
        sizes = measure(embedding)
        load = capacity.Load(
            events_per_second, event_bytes or sizes.event_bytes, embedding, delay_seconds, memory, commits_per_second
        )
        chosen = capacity.size(load)
        workload = workload_of(load, chosen, sizes, partitions)
        bills = monthly_bills(workload, LIST_PRICES)
    if as_json:
        print_json({**chosen.as_json(), "cost": as_document(workload, bills, LIST_PRICES)})
    else:
        _show(load, chosen, bills)
    if chosen.problems:
        raise typer.Exit(EXIT_FAILED)


def workload_of(load: capacity.Load, chosen: capacity.Sizing, sizes: SaleSizes, partitions: float) -> Workload:
    """Return the month that such a load makes with these settings."""
    return Workload(
        events=load.events_per_second * SECONDS_OF_A_MONTH,
        sizes=sizes,
        sales_per_commit=chosen.sales_per_commit,
        lambda_milliseconds=1000 * chosen.batch_seconds,
        memory_mb=load.memory_mb,
        log_bytes_per_batch=log_bytes(chosen.sales_per_commit),
        partitions_per_commit=min(partitions, chosen.sales_per_commit),
        snapshot_retention_hours=chosen.retention_hours,
    )


def _show(load: capacity.Load, chosen: capacity.Sizing, bills: list[Bill]) -> None:
    table = Table("", title=f"{load.events_per_second:g} events/s, visible within {load.delay_seconds:g} s")
    table.add_column("Value", justify="right")
    table.add_column("Where, or why")
    limit = capacity.METADATA_LIMIT_BYTES / _MEGABYTE
    rows: list[tuple[str, Any, str]] = [
        ("Batch size", f"{chosen.batch_size:,}", "BatchSize: what 6 MB and half of the time-out hold"),
        ("Window", f"{chosen.window_seconds} s", "BatchWindowSeconds: what the delay leaves"),
        ("Concurrency", chosen.concurrency, "MaximumConcurrency: twice the handlers that are busy"),
        ("Snapshot retention", f"{chosen.retention_hours} h", "of the table's snapshot management"),
        ("Sales in a commit", f"{chosen.sales_per_commit:,.0f}", ""),
        ("Commits", f"{chosen.commits_per_second:.3f}/s", f"the table: {load.table_commits_per_second:g}/s"),
        ("Time of a batch", f"{chosen.batch_seconds:.1f} s", f"estimated for {load.memory_mb} MB"),
        ("Visible after", f"{chosen.delay_seconds:.1f} s", "at worst: window, batch, and one that goes before"),
        ("metadata.json", f"{chosen.metadata_bytes / _MEGABYTE:.1f} MB", f"S3 Tables refuses more than {limit:.0f} MB"),
        ("Month 1", f"${bills[0].usd:,.2f}", f"DynamoDB: {bills[0].share('DynamoDB'):.0%}"),
        ("Month 24", f"${bills[1].usd:,.2f}", f"DynamoDB: {bills[1].share('DynamoDB'):.0%}"),
    ]
    for name, value, why in rows:
        table.add_row(name, str(value), why)
    stdout.print(table, highlight=False)
    for problem in chosen.problems:
        stdout.print(f"[bold red]Will not do:[/] {problem}", highlight=False)
    for note in chosen.notes:
        stdout.print(f"[yellow]Note:[/] {note}", highlight=False)
    show_caveats(LIST_PRICES)
