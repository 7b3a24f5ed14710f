"""Small pictures as SVG: requests over time, and curves. Written by hand, so that nothing has to be installed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.latency_proxy import Passed
from benchmarks.measuring import Pictures

WIDTH: Final = 900
LEFT: Final = 70
RIGHT: Final = 30
TOP: Final = 56
_COLOURS: Final = {"s3": "#22c55e", "catalog": "#f97316"}
_LINES: Final = ("#2563eb", "#dc2626", "#7c3aed")
_GREY: Final = "#475569"
_FAINT: Final = "#e2e8f0"
_TICKS: Final = 6
_BAR: Final = 14

Curve = Sequence[tuple[int, float]]


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
    scale = _Scale(longest, LEFT, WIDTH - RIGHT - 120)
    parts: list[str] = []
    y = TOP
    for name, passed in writers.items():
        end = max(one.answered for one in passed) - passed[0].arrived
        parts.append(_text(LEFT, y, f"{name}: {len(passed)} requests, {end * 1000:.0f} ms", weight=600))
        y += 10
        for one in sorted(passed, key=lambda request: request.arrived):
            begin = (one.arrived - passed[0].arrived) * 1000
            width = scale.at(begin + (one.answered - one.arrived) * 1000) - scale.at(begin)
            colour = _COLOURS[one.service]
            parts.append(_rect(scale.at(begin), y, width, _BAR - 3, colour))
            parts.append(_text(scale.at(begin) + width + 6, y + 10, f"{one.service} {one.action}", size=11))
            y += _BAR
        y += 30
    axis = [_vertical(scale, tick, TOP - 16, y - 26) for tick in scale.ticks()]
    title = "One append on a warm writer, 25 ms added to each request (milliseconds)"
    return _svg(title, y, [*axis, *parts])


def curves(lines: Mapping[str, Curve]) -> str:
    """Draw CPU milliseconds over the number of the commit."""
    bottom = 400
    across = _Scale(max(x for curve in lines.values() for x, _ in curve), LEFT, WIDTH - RIGHT)
    up = _Scale(max(y for curve in lines.values() for _, y in curve), bottom, TOP)
    parts = [_vertical(across, tick, TOP, bottom) for tick in across.ticks()]
    for tick in up.ticks():
        parts.append(_line(LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick), _FAINT))
        parts.append(_text(LEFT - 8, up.at(tick) + 4, f"{tick:g}", anchor="end", size=11))
    for number, (name, curve) in enumerate(lines.items()):
        colour = _LINES[number % len(_LINES)]
        points = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in curve)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last_x, last_y = curve[-1]
        beyond_the_middle = across.at(last_x) > WIDTH / 2
        x, anchor = (across.at(last_x), "end") if beyond_the_middle else (across.at(last_x) + 8, "start")
        parts.append(_text(x, up.at(last_y) - 10, f"{name}: {last_y:.0f} ms", anchor=anchor, colour=colour, weight=600))
    parts.append(_text((LEFT + WIDTH) / 2, bottom + 40, "snapshots that the table retains", anchor="middle"))
    return _svg("CPU time of one append in its client (milliseconds)", bottom + 60, parts)


class _Scale:
    """From values that begin at 0 to positions."""

    def __init__(self, highest: float, start: float, end: float) -> None:
        self._start, self._end = start, end
        self._step = _round_step(highest / _TICKS)
        self._steps = math.ceil(highest / self._step)

    def at(self, value: float) -> float:
        return self._start + (self._end - self._start) * value / (self._steps * self._step)

    def ticks(self) -> list[float]:
        return [number * self._step for number in range(self._steps + 1)]


def _round_step(step: float) -> float:
    power = 10 ** math.floor(math.log10(step))
    return float(next(round_one * power for round_one in (1, 2, 5, 10) if round_one * power >= step))


def _vertical(scale: _Scale, tick: float, top: float, bottom: float) -> str:
    label = _text(scale.at(tick), bottom + 16, f"{tick:,g}", anchor="middle", size=11)
    return _line(scale.at(tick), top, scale.at(tick), bottom, _FAINT) + label


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="2" fill="{colour}"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, colour: str = _GREY, weight: int = 400
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="system-ui, sans-serif"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    paper = f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    heading = _text(LEFT, 26, title, size=15, colour="#0f172a", weight=600)
    return "\n".join([head, paper, heading, *parts, "</svg>", ""])
