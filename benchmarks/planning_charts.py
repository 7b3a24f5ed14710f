"""``python -m benchmarks.planning_charts FOLDER``: charts of cost and of metadata.json, from the formulas."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import altair as alt

from benchmarks import charts
from carousel_sync.charts import svg
from carousel_sync.planning.bill import Bill, Workload, bill
from carousel_sync.planning.bytes_per_sale import measure
from carousel_sync.planning.capacity import METADATA_LIMIT_BYTES, metadata_bytes
from carousel_sync.planning.durations import cpu_milliseconds, lambda_milliseconds, log_bytes
from carousel_sync.planning.prices import LIST_PRICES

EMBEDDING: Final = 1024
SALES: Final = 1_000_000
SALES_PER_COMMIT: Final = 500
MEMORY_MB: Final = 512
RETENTION_HOURS: Final = (1, 6, 24, 120)
MAX_COMMITS_PER_SECOND: Final = 2.0
_MEGABYTE: Final = 1_000_000
_MAX_MEGABYTES: Final = 60.0
_BAR_HEIGHT: Final = 18


def month(embedding: int) -> Bill:
    """Return the bill of the first month with a million sales."""
    workload = Workload(
        events=SALES,
        sizes=measure(embedding),
        sales_per_commit=SALES_PER_COMMIT,
        lambda_milliseconds=lambda_milliseconds(cpu_milliseconds(SALES_PER_COMMIT, embedding), MEMORY_MB),
        memory_mb=MEMORY_MB,
        log_bytes_per_batch=log_bytes(SALES_PER_COMMIT),
    )
    return bill(workload, LIST_PRICES)


def cost_by_component(of: Bill) -> str:
    """Draw each line of a bill as a bar, grouped by service."""
    groups = {
        f"{service}: ${usd:,.2f}": [
            {"what": line.what, "start": 0, "usd": line.usd, "label": f"${line.usd:,.2f}"}
            for line in of.lines
            if line.service == service
        ]
        for service, usd in of.by_service.items()
    }
    longest = max(line.usd for line in of.lines)
    x = alt.X("usd:Q", title="US dollars", scale=alt.Scale(domainMax=1.1 * longest))
    y = alt.Y("what:N", sort=None, title=None).axis(labelLimit=400)
    colour = alt.Color("heading:N", legend=None, sort=list(groups))
    title = f"The first month of a million sales with {EMBEDDING:,} values, at list prices: ${of.usd:,.2f}"
    description = "Each line of the bill is a bar; the lines are grouped by service."
    return svg(charts.bars(groups, x, y, colour, _BAR_HEIGHT), title, description)


def metadata_by_commit_rate() -> str:
    """Draw the size of metadata.json over commits per second for several retention periods, with the limit."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for hours in RETENTION_HOURS:
        slope = metadata_bytes(1.0, hours) / _MEGABYTE
        end = min(MAX_COMMITS_PER_SECOND, _MAX_MEGABYTES / slope)
        curves[f"{hours} h"] = [(0.0, 0.0), (end, slope * end)]
    limit = METADATA_LIMIT_BYTES / _MEGABYTE
    curves["S3 Tables refuses more"] = [(0.0, limit), (MAX_COMMITS_PER_SECOND, limit)]
    title = f"Size of metadata.json with snapshots retained for {', '.join(map(str, RETENTION_HOURS))} hours"
    description = "Megabytes by commits per second: one line for each retention period, and the limit of S3 Tables."
    return svg(charts.lines(curves, "commits per second", "megabytes"), title, description)


def draw(folder: Path) -> list[Path]:
    """Draw both charts into the folder, and return the files."""
    cost, metadata = cost_by_component(month(EMBEDDING)), metadata_by_commit_rate()
    return charts.write(folder, {"cost-by-component.svg": cost, "metadata-size.svg": metadata})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
