"""Small pictures as SVG, written by hand, so that nothing has to be installed to draw or to see them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 900
LEFT: Final = 70
RIGHT: Final = 30
TOP: Final = 56
COLOURS: Final = ("#2563eb", "#dc2626", "#7c3aed", "#059669", "#d97706", "#0891b2", "#be185d")
GREY: Final = "#475569"
FAINT: Final = "#e2e8f0"
_TICKS: Final = 6
_PLOT_BOTTOM: Final = 400

Curve = Sequence[tuple[float, float]]


class Scale:
    """From values that begin at 0 to positions."""

    def __init__(self, highest: float, start: float, end: float) -> None:
        self._start, self._end = start, end
        self._step = _round_step(highest / _TICKS) if highest > 0 else 1.0
        self._steps = max(1, math.ceil(highest / self._step))

    def at(self, value: float) -> float:
        """Return the position of a value."""
        return self._start + (self._end - self._start) * value / (self._steps * self._step)

    def ticks(self) -> list[float]:
        """Return round values from 0 to the end of the scale."""
        return [number * self._step for number in range(self._steps + 1)]


def curves(title: str, lines: Mapping[str, Curve], *, below: str, unit: str = "", label_end: bool = True) -> str:
    """Draw curves over a common axis, whose meaning is written ``below``.

    Each curve carries its name at its end, with its last value in ``unit`` unless ``label_end`` is False.
    """
    across = Scale(max(x for curve in lines.values() for x, _ in curve), LEFT, WIDTH - RIGHT)
    up = Scale(max(y for curve in lines.values() for _, y in curve), _PLOT_BOTTOM, TOP)
    parts = plot(across, up, _PLOT_BOTTOM)
    for number, (name, curve) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in curve)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last_x, last_y = curve[-1]
        beyond_the_middle = across.at(last_x) > WIDTH / 2
        x, anchor = (across.at(last_x), "end") if beyond_the_middle else (across.at(last_x) + 8, "start")
        label = f"{name}: {last_y:.0f}{unit}" if label_end else name
        parts.append(text(x, up.at(last_y) - 10, label, anchor=anchor, colour=colour, weight=600))
    parts.append(text((LEFT + WIDTH) / 2, _PLOT_BOTTOM + 40, below, anchor="middle"))
    return svg(title, _PLOT_BOTTOM + 60, parts)


def plot(across: Scale, up: Scale, bottom: float) -> list[str]:
    """Return the grid of both axes, with its numbers."""
    parts = [vertical(across, tick, TOP, bottom) for tick in across.ticks()]
    for tick in up.ticks():
        parts.append(line(LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick), FAINT))
        parts.append(text(LEFT - 8, up.at(tick) + 4, f"{tick:,g}", anchor="end", size=11))
    return parts


def vertical(scale: Scale, tick: float, top: float, bottom: float) -> str:
    """Return a vertical line of the grid, with its number below."""
    label = text(scale.at(tick), bottom + 16, f"{tick:,g}", anchor="middle", size=11)
    return line(scale.at(tick), top, scale.at(tick), bottom, FAINT) + label


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """Return a line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    """Return a filled rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:g}" rx="2" fill="{colour}"/>'


def text(
    x: float, y: float, content: str, *, anchor: str = "start", size: int = 13, colour: str = GREY, weight: int = 400
) -> str:
    """Return a line of text; ``anchor`` is start, middle or end."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(content)}</text>'


def svg(title: str, height: float, parts: Sequence[str]) -> str:
    """Return the picture: a heading, and the parts below it."""
    box = f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="system-ui, sans-serif"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    paper = f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    heading = text(LEFT, 26, title, size=15, colour="#0f172a", weight=600)
    return "\n".join([head, paper, heading, *parts, "</svg>", ""])


def _round_step(step: float) -> float:
    power = 10 ** math.floor(math.log10(step))
    return float(next(round_one * power for round_one in (1, 2, 5, 10) if round_one * power >= step))
