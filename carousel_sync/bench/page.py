"""The report of a run as one HTML file that opens without a network: figures, and the distribution of latencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import altair as alt

from carousel_sync.bench.figures import Figures, latencies
from carousel_sync.charts import COLOURS, WIDTH, data, svg

_BARS: Final = 24
_HEIGHT: Final = 320
_LABEL_HEIGHT: Final = 14
# Below this share of the axis there is no room for a label to the left of a value.
_LEFT_SHARE: Final = 0.2
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font-family:system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0;border-bottom:1px solid #8888}"
    "td+td{text-align:right}svg{width:100%;height:auto}"
)


def html(figures: Figures, facts: Mapping[str, str]) -> str:
    """Return the page."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>carousel-sync bench</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>carousel-sync bench local</h1>\n"
        "<p>Invocations of the function on this machine, against the embedded emulator. The times are those of this "
        "machine and its emulator, not of AWS.</p>\n"
        f"<table>{rows}</table>\n{histogram(figures.seconds, figures.setup.invocation)}</body></html>\n"
    )


def histogram(seconds: Sequence[float], invocation: str = "Batch") -> str:
    """Draw the number of invocations by duration as SVG, with the percentiles. ``seconds`` is in ascending order."""
    invocations = {"Batch": "batches", "Event": "events"}[invocation]
    milliseconds = [1000 * value for value in seconds]
    # The highest value has the highest label, so that no line crosses the label of a value to its right.
    labels = list(reversed(latencies(milliseconds).items()))
    bars = (
        alt.Chart(data([{"duration": value} for value in milliseconds]))
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("duration:Q", bin=alt.Bin(maxbins=_BARS), scale=alt.Scale(zero=True))
            .title("milliseconds from payload to answer")
            .axis(format=",~f"),
            y=alt.Y("count():Q", scale=alt.Scale(range=[_HEIGHT, len(labels) * _LABEL_HEIGHT]))
            .title(invocations)
            .axis(tickMinStep=1),
        )
    )
    marks: list[alt.Chart] = []
    for row, (name, value) in enumerate(labels):
        label = alt.Chart(data([{"value": value, "label": f"{name} {value:,.0f} ms"}])).encode(x="value:Q")
        is_right = value > _LEFT_SHARE * milliseconds[-1]
        marks += [
            label.mark_rule(color=COLOURS[1]).encode(y=alt.value(row * _LABEL_HEIGHT), y2=alt.value(_HEIGHT)),
            label.mark_text(align="right" if is_right else "left", dx=-4 if is_right else 4, baseline="top").encode(
                y=alt.value(row * _LABEL_HEIGHT), text="label:N"
            ),
        ]
    title = f"{len(seconds)} {invocations} by duration"
    return svg(alt.layer(bars, *marks).properties(width=WIDTH, height=_HEIGHT), title, f"Histogram of {title}.")
