"""Charts of appends, from what was measured: requests over time, and CPU time over the table's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import altair as alt

from benchmarks.measuring import ChartData
from carousel_sync.charts import COLOURS, INK, ROW_HEADER, WIDTH, data, svg
from testbed.latency_proxy import RecordedRequest

_SERVICE_COLOURS: Final = {"s3": COLOURS[3], "catalog": COLOURS[4]}
_BAR_HEIGHT: Final = 14


def draw(chart_data: ChartData, folder: Path) -> list[Path]:
    """Draw what was measured into the folder, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    if chart_data.timelines:
        drawn.append(folder / "append-requests.svg")
        drawn[-1].write_text(timelines(chart_data.timelines))
    if chart_data.curves:
        drawn.append(folder / "append-growth.svg")
        drawn[-1].write_text(growth(chart_data.curves))
    return drawn


def timelines(writers: Mapping[str, Sequence[RecordedRequest]]) -> str:
    """Draw each request of an append as a bar from its arrival to its answer, all writers on the same scale."""
    rows, headings = [], []
    for name, recorded in writers.items():
        ordered = sorted(recorded, key=lambda request: request.arrived)
        started = ordered[0].arrived
        total = 1000 * (max(request.answered for request in ordered) - started)
        headings.append(f"{name}: {len(ordered)} requests, {total:.0f} ms")
        rows += [
            {
                "writer": headings[-1],
                "number": number,
                "service": request.service,
                "label": f"{request.service} {request.action}",
                "start": 1000 * (request.arrived - started),
                "end": 1000 * (request.answered - started),
            }
            for number, request in enumerate(ordered)
        ]
    base = alt.Chart(data(rows)).encode(y=alt.Y("number:O", axis=None))
    bars = base.mark_bar(cornerRadius=2).encode(
        x=alt.X("start:Q", title="milliseconds"),
        x2="end:Q",
        color=alt.Color("service:N", legend=None).scale(
            domain=list(_SERVICE_COLOURS), range=list(_SERVICE_COLOURS.values())
        ),
    )
    labels = base.mark_text(align="left", dx=6, color=INK).encode(x="end:Q", text="label:N")
    chart = (
        alt.layer(bars, labels)
        .properties(width=WIDTH - 100, height=alt.Step(_BAR_HEIGHT))
        .facet(row=alt.Row("writer:N", sort=headings, title=None, header=ROW_HEADER))
        .resolve_scale(y="independent")
    )
    title = "One append of a warm writer, 25 ms added to each request"
    return svg(chart, title, "Each request is a bar from its arrival at the proxy to its answer.")


def growth(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Draw CPU milliseconds over the number of commits."""
    rows = [
        {"writer": name, "commits": commits, "milliseconds": value}
        for name, curve in curves.items()
        for commits, value in curve
    ]
    longest = max(curve[-1][0] for curve in curves.values())
    x = alt.X("commits:Q", title="snapshots that the table retains")
    y = alt.Y("milliseconds:Q", title="milliseconds")
    colour = alt.Color("writer:N", legend=None, sort=None)
    lines = alt.Chart(data(rows)).mark_line().encode(x=x, y=y, color=colour)
    labels = [
        alt.Chart(
            data([{"writer": name, "commits": commits, "milliseconds": value, "label": f"{name}: {value:.0f} ms"}])
        )
        .mark_text(align="right" if commits == longest else "left", dx=0 if commits == longest else 8, dy=-14)
        .encode(x=x, y=y, color=colour, text="label:N")
        for name, (*_, (commits, value)) in curves.items()
    ]
    title = "CPU time of one append in its client"
    description = "CPU milliseconds of an append by the number of snapshots that the table retains."
    chart = alt.layer(lines, *labels).properties(width=WIDTH, height=340)
    return svg(chart, title, description)
