"""The pictures of the benchmarks: requests over time, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.latency_proxy import Passed
from benchmarks.measuring import Pictures
from carousel_sync.pictures.svg import LEFT, RIGHT, TOP, WIDTH, Curve, Scale, rect, svg, text, vertical
from carousel_sync.pictures.svg import curves as draw_curves

_COLOURS: Final = {"s3": "#22c55e", "catalog": "#f97316"}
_BAR: Final = 14


def draw(pictures: Pictures, folder: Path) -> list[Path]:
    """Draw what was measured, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    if pictures.timelines:
        drawn.append(folder / "append-requests.svg")
        drawn[-1].write_text(timelines(pictures.timelines))
    if pictures.curves:
        drawn.append(folder / "append-growth.svg")
        drawn[-1].write_text(curves(pictures.curves))
    return drawn


def timelines(writers: Mapping[str, Sequence[Passed]]) -> str:
    """Draw each request of an append as a bar from its arrival to its answer, each writer on the same scale."""
    longest = max(one.answered - passed[0].arrived for passed in writers.values() for one in passed) * 1000
    scale = Scale(longest, LEFT, WIDTH - RIGHT - 120)
    parts: list[str] = []
    y = TOP
    for name, passed in writers.items():
        end = max(one.answered for one in passed) - passed[0].arrived
        parts.append(text(LEFT, y, f"{name}: {len(passed)} requests, {end * 1000:.0f} ms", weight=600))
        y += 10
        for one in sorted(passed, key=lambda request: request.arrived):
            begin = (one.arrived - passed[0].arrived) * 1000
            width = scale.at(begin + (one.answered - one.arrived) * 1000) - scale.at(begin)
            colour = _COLOURS[one.service]
            parts.append(rect(scale.at(begin), y, width, _BAR - 3, colour))
            parts.append(text(scale.at(begin) + width + 6, y + 10, f"{one.service} {one.action}", size=11))
            y += _BAR
        y += 30
    axis = [vertical(scale, tick, TOP - 16, y - 26) for tick in scale.ticks()]
    title = "One append on a warm writer, 25 ms added to each request (milliseconds)"
    return svg(title, y, [*axis, *parts])


def curves(lines: Mapping[str, Curve]) -> str:
    """Draw CPU milliseconds over the number of the commit."""
    title = "CPU time of one append in its client (milliseconds)"
    return draw_curves(title, lines, below="snapshots that the table retains", unit=" ms")
