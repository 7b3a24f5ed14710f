"""The two types of charts on the pages of the documentation: labelled bars in groups, and labelled lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from carousel_sync.charts import INK, ROW_HEADER, WIDTH, Chart, data

Row = dict[str, Any]


def bars(groups: Mapping[str, list[Row]], x: alt.X, y: alt.Y, colour: alt.Color, step: int) -> Chart:
    """Draw groups of bars below their headings, each ``step`` pixels high, with the row's ``label`` to its right.

    A bar runs from ``start`` to ``x``.
    """
    rows = [{"heading": heading, **row} for heading, rows in groups.items() for row in rows]
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    layers = alt.layer(
        base.mark_bar(cornerRadius=2).encode(x2="start:Q", color=colour),
        base.mark_text(align="left", dx=6, color=INK).encode(text="label:N"),
    )
    row = alt.Row("heading:N", sort=list(groups), title=None, header=ROW_HEADER)
    chart = layers.properties(width=WIDTH - 250, height=alt.Step(step)).facet(row=row)
    independent: Chart = chart.resolve_scale(y="independent")
    return independent


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str) -> Chart:
    """Draw a line through the points of each curve. The name of the curve is at its last point."""
    rows = [{"name": name, "x": x, "y": y, "last": points[-1][0]} for name, points in curves.items() for x, y in points]
    half = max(points[-1][0] for points in curves.values()) / 2
    base = alt.Chart(data(rows)).encode(
        x=alt.X("x:Q", title=x_title),
        y=alt.Y("y:Q", title=y_title),
        color=alt.Color("name:N", legend=None, sort=None),
    )
    # A label in the left half has no room to the left of its point.
    align, dx = (alt.expr(f"datum.x < {half} ? {left} : {right}") for left, right in (("'left'", "'right'"), (6, -6)))
    labels = base.transform_filter(alt.datum.x == alt.datum.last).mark_text(align=align, dx=dx, dy=-8)
    return alt.layer(base.mark_line(), labels.encode(text="name:N")).properties(width=WIDTH, height=340)


def write(folder: Path, drawings: Mapping[str, str]) -> list[Path]:
    """Write SVG drawings to the folder under their names, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in drawings.items():
        (folder / name).write_text(drawing, encoding="utf-8")
    return [folder / name for name in drawings]
