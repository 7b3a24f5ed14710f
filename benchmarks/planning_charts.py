"""``python -m benchmarks.planning_charts FOLDER``: charts of cost and of metadata.json, from the formulas."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import altair as alt

from carousel_sync.charts import INK, ROW_HEADER, WIDTH, data, svg
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
    services = [f"{service}: ${usd:,.2f}" for service, usd in of.by_service.items()]
    rows = [
        {
            "service": f"{line.service}: ${of.by_service[line.service]:,.2f}",
            "what": line.what,
            "usd": line.usd,
            "label": f"${line.usd:,.2f}",
        }
        for line in of.lines
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("usd:Q", title="US dollars", scale=alt.Scale(domainMax=1.1 * max(line.usd for line in of.lines))),
        y=alt.Y("what:N", sort=None, title=None).axis(labelLimit=400),
    )
    bars = base.mark_bar(cornerRadius=2).encode(color=alt.Color("service:N", legend=None, sort=services))
    chart = (
        alt.layer(bars, base.mark_text(align="left", dx=6, color=INK).encode(text="label:N"))
        .properties(width=WIDTH - 250, height=alt.Step(_BAR_HEIGHT))
        .facet(row=alt.Row("service:N", sort=services, title=None, header=ROW_HEADER))
        .resolve_scale(y="independent")
    )
    title = f"The first month of a million sales with {EMBEDDING:,} values, at list prices: ${of.usd:,.2f}"
    return svg(chart, title, "Each line of the bill is a bar; the lines are grouped by service.")


def metadata_by_commit_rate() -> str:
    """Draw the size of metadata.json over commits per second for several retention periods, with the limit."""
    rows = []
    for hours in RETENTION_HOURS:
        slope = metadata_bytes(1.0, hours) / _MEGABYTE
        end = min(MAX_COMMITS_PER_SECOND, _MAX_MEGABYTES / slope)
        rows += [{"retention": f"{hours} h", "rate": x, "megabytes": slope * x} for x in (0.0, end)]
    limit = METADATA_LIMIT_BYTES / _MEGABYTE
    rows += [
        {"retention": "S3 Tables refuses more", "rate": x, "megabytes": limit} for x in (0.0, MAX_COMMITS_PER_SECOND)
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("rate:Q", title="commits per second"),
        y=alt.Y("megabytes:Q", title="megabytes"),
        color=alt.Color("retention:N", legend=None, sort=None),
    )
    labels = base.transform_joinaggregate(last="max(rate)", groupby=["retention"]).transform_filter(
        alt.datum.rate == alt.datum.last
    )
    chart = alt.layer(base.mark_line(), labels.mark_text(align="right", dx=-6, dy=-8).encode(text="retention:N"))
    hours_text = ", ".join(str(hours) for hours in RETENTION_HOURS)
    title = f"Size of metadata.json with snapshots retained for {hours_text} hours"
    description = "Megabytes by commits per second: one line for each retention period, and the limit of S3 Tables."
    return svg(chart.properties(width=WIDTH, height=340), title, description)


def draw(folder: Path) -> list[Path]:
    """Draw both charts into the folder, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = {
        "cost-by-component.svg": cost_by_component(month(EMBEDDING)),
        "metadata-size.svg": metadata_by_commit_rate(),
    }
    for name, chart in charts.items():
        (folder / name).write_text(chart, encoding="utf-8")
    return [folder / name for name in charts]


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
