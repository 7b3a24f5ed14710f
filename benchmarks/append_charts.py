"""Charts of appends, from what was measured: requests over time, and CPU time over the table's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import altair as alt

from benchmarks import charts
from benchmarks.measuring import ChartData
from carousel_sync.charts import COLOURS, svg
from testbed.latency_proxy import RecordedRequest

_SERVICE_COLOURS: Final = {"s3": COLOURS[3], "catalog": COLOURS[4]}
_BAR_HEIGHT: Final = 14


def draw(chart_data: ChartData, folder: Path) -> list[Path]:
    """Draw what was measured into the folder, and return the files."""
    drawings: dict[str, str] = {}
    if chart_data.timelines:
        drawings["append-requests.svg"] = timelines(chart_data.timelines)
    if chart_data.curves:
        drawings["append-growth.svg"] = growth(chart_data.curves)
    return charts.write(folder, drawings)


def timelines(writers: Mapping[str, Sequence[RecordedRequest]]) -> str:
    """Draw each request of an append as a bar from its arrival to its answer, all writers on the same scale."""
    groups: dict[str, list[charts.Row]] = {}
    for name, recorded in writers.items():
        started = min(request.arrived for request in recorded)
        total = 1000 * (max(request.answered for request in recorded) - started)
        groups[f"{name}: {len(recorded)} requests, {total:.0f} ms"] = [
            {
                "number": number,
                "service": request.service,
                "label": f"{request.service} {request.action}",
                "start": 1000 * (request.arrived - started),
                "end": 1000 * (request.answered - started),
            }
            for number, request in enumerate(sorted(recorded, key=lambda request: request.arrived))
        ]
    scale = alt.Scale(domain=list(_SERVICE_COLOURS), range=list(_SERVICE_COLOURS.values()))
    colour = alt.Color("service:N", legend=None, scale=scale)
    x, y = alt.X("end:Q", title="milliseconds"), alt.Y("number:O", axis=None)
    title = "One append of a warm writer, 25 ms added to each request"
    description = "Each request is a bar from its arrival at the proxy to its answer."
    return svg(charts.bars(groups, x, y, colour, _BAR_HEIGHT), title, description)


def growth(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Draw CPU milliseconds over the number of commits."""
    named = {f"{name}: {curve[-1][1]:.0f} ms": curve for name, curve in curves.items()}
    title = "CPU time of one append in its client"
    description = "CPU milliseconds of an append by the number of snapshots that the table retains."
    return svg(charts.lines(named, "snapshots that the table retains", "milliseconds"), title, description)
