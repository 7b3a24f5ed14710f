"""The figures of a run for people: as named facts, with the cost of a million such sales."""

from __future__ import annotations

from typing import Final

from carousel_sync.bench.figures import Figures, Outcome, latencies
from carousel_sync.bench.load import Tally
from carousel_sync.planning.bill import Bill, Workload, bill
from carousel_sync.planning.bytes_per_sale import measure
from carousel_sync.planning.durations import lambda_milliseconds
from carousel_sync.planning.prices import LIST_PRICES

MEMORY_MB: Final = 512
MILLION: Final = 1_000_000


def cost_of_a_million(figures: Figures) -> Bill:
    """Return the bill of the first month with a million such sales."""
    workload = Workload(
        events=MILLION,
        sizes=measure(figures.setup.embedding),
        sales_per_commit=figures.sales_per_commit,
        lambda_milliseconds=lambda_milliseconds(figures.cpu_milliseconds_per_batch, MEMORY_MB),
        memory_mb=MEMORY_MB,
        log_bytes_per_batch=figures.log_bytes_per_batch,
        partitions_per_commit=figures.outcome.data_files / max(1, figures.outcome.commits),
    )
    return bill(workload, LIST_PRICES)


def facts(figures: Figures, cost: Bill) -> dict[str, str]:
    """Return the figures as names and values to show."""
    tally, outcome, setup = figures.tally, figures.outcome, figures.setup
    times = {f"Batch, {name}": f"{1000 * value:,.0f} ms" for name, value in latencies(figures.seconds).items()}
    requests = figures.requests
    return {
        "Events": f"{setup.events:,} in batches of up to {setup.batch_size:,}, {setup.concurrency} handlers",
        "Sales": f"{outcome.sales:,}, with embeddings of {setup.embedding:,} values",
        "Throughput": f"{figures.events_per_second:,.0f} events/s over {tally.seconds:.1f} s",
        **times,
        "CPU of a batch": f"{figures.cpu_milliseconds_per_batch:,.0f} ms",
        "Commits": f"{outcome.commits:,}, {figures.sales_per_commit:,.0f} sales each",
        "Commit conflicts": f"{figures.conflicts:,}",
        "Given back": f"{tally.given_back:,} messages; {tally.abandoned:,} abandoned",
        "Requests": f"{sum(requests.values()):,}",
        **{f"  {name}": f"{number:,}" for name, number in requests.items()},
        "metadata.json": f"{outcome.snapshot_bytes:,.0f} bytes per retained snapshot",
        "A million sales": f"${cost.usd:,.2f} in the first month, {cost.share('DynamoDB'):.0%} of it DynamoDB",
        "Seed": str(setup.seed),
        "Verified": "each sale has one row and one item" if outcome.exactly_once else "NOT exactly once",
    }


def state(tally: Tally) -> str:
    """Return the deliveries so far in one line."""
    median = latencies(sorted(invocation.seconds for invocation in tally.invocations))["p50"]
    conflicts = sum(invocation.conflicts for invocation in tally.invocations)
    return (
        f"{tally.settled / tally.seconds:,.0f}/s, p50 {median:,.1f} s, {conflicts} conflicts, "
        f"{tally.given_back:,} given back"
    )


def verdict(outcome: Outcome) -> str:
    """Return whether each sale is stored exactly once, in one line of Rich markup."""
    report = outcome.report
    if outcome.exactly_once:
        return f"[bold green]Exactly once:[/] {outcome.sales:,} sales, rows and look-up items."
    return (
        f"[bold red]Not exactly once:[/] {outcome.sales:,} sales, {report.rows:,} rows, {report.items:,} items, "
        f"{len(report.doubled_rows):,} duplicated, {len(report.missing_items):,} without item, "
        f"{len(report.divergent):,} divergent, {len(report.open_claims):,} claims open."
    )
