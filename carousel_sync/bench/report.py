"""The latency distribution as one HTML file that needs nothing else: the picture is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from carousel_sync.bench.figures import Figures, latencies
from carousel_sync.pictures.svg import COLOURS, FAINT, LEFT, RIGHT, TOP, WIDTH, Scale, line, plot, rect, svg, text

_BARS: Final = 24
_BOTTOM: Final = 360
# As many as the axis has steps: no number between two batches.
_TICKS: Final = 6
_STYLE: Final = (
    "body{font-family:system-ui,sans-serif;color:#0f172a;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0;border-bottom:1px solid #e2e8f0}"
    "td+td{text-align:right}svg{width:100%}"
)


def html(figures: Figures, facts: Mapping[str, str]) -> str:
    """Return the page: the facts as a table, and how long batches took as a picture."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>carousel-sync bench</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>carousel-sync bench local</h1>\n"
        "<p>Batches through the function on this machine, against the embedded emulator: the times are those of this "
        "machine and its emulator, not of AWS.</p>\n"
        f"<table>{rows}</table>\n{histogram(figures.seconds)}</body></html>\n"
    )


def histogram(seconds: Sequence[float]) -> str:
    """Draw how many batches took how long, with the percentiles. ``seconds`` are in ascending order."""
    milliseconds = [1000 * value for value in seconds]
    across = Scale(milliseconds[-1], LEFT, WIDTH - RIGHT)
    width = across.ticks()[-1] / _BARS
    counts = [0] * _BARS
    for value in milliseconds:
        counts[min(_BARS - 1, int(value / width))] += 1
    up = Scale(max(*counts, _TICKS), _BOTTOM, TOP + 40)
    parts = plot(across, up, _BOTTOM)
    for number, count in enumerate(counts):
        if count:
            left, right = across.at(number * width), across.at((number + 1) * width)
            parts.append(rect(left + 1, up.at(count), right - left - 2, _BOTTOM - up.at(count), COLOURS[0]))
    for row, (name, value) in enumerate(latencies(milliseconds).items()):
        y = TOP + 2 + row * 11
        parts.append(line(across.at(value), y, across.at(value), _BOTTOM, COLOURS[1]))
        anchor = "end" if across.at(value) > WIDTH / 2 else "start"
        label = f"{name} {value:,.0f} ms"
        parts.append(text(across.at(value) + (-4 if anchor == "end" else 4), y + 8, label, anchor=anchor, size=11))
    parts.append(line(LEFT, _BOTTOM, WIDTH - RIGHT, _BOTTOM, FAINT))
    parts.append(text((LEFT + WIDTH) / 2, _BOTTOM + 40, "milliseconds from the payload to the answer", anchor="middle"))
    return svg(f"{len(seconds)} batches by the time that they took", _BOTTOM + 60, parts)
