"""What was measured: samples of both sides, their ratio, and whether the target is met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One line of the report.

    ``ours`` and ``anchor`` are repetitions in the order in which they were taken, side by side. ``ratio`` is what the
    target speaks of; None where it speaks of our figure alone.
    """

    name: str
    unit: str
    ours: Sequence[float]
    target: str
    met: bool | None
    anchor: Sequence[float] = ()
    ratio: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the line as a document."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": _rounded(median(self.ours)),
            "anchor": _rounded(median(self.anchor)) if self.anchor else None,
            "ratio": None if self.ratio is None else _rounded(self.ratio),
            "target": self.target,
            "met": self.met,
        }


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the ratios of neighbours: what slows the machine down for a while slows both sides."""
    return median(numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True))


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the report as a list of documents."""
    path.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")


def as_table(rows: Sequence[Row]) -> Table:
    """Return the report for a terminal."""
    table = Table("measured", "unit", title="Ours beside what one would use instead (median, lowest to highest)")
    for heading in ("ours", "anchor", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("target")
    table.add_column("met")
    for row in rows:
        met = {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}[row.met]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.name, row.unit, spread(row.ours), spread(row.anchor), ratio, row.target, met)
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the report for a document."""
    lines = ["| what | unit | ours | anchor | ratio | target | met |", "| --- | --- | ---: | ---: | ---: | --- | --- |"]
    for row in rows:
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        cells = (row.name, row.unit, spread(row.ours), spread(row.anchor), ratio, row.target, met)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(samples: Sequence[float]) -> str:
    """Return the median, with the lowest and the highest beside it where they differ."""
    if not samples:
        return ""
    lowest, middle, highest = (_text(value) for value in (min(samples), median(samples), max(samples)))
    return middle if lowest == highest else f"{middle} ({lowest} to {highest})"


def _text(value: float) -> str:
    return f"{_rounded(value):,}"


def _rounded(value: float) -> float:
    """Return three significant digits, and all those before the decimal point."""
    if value == int(value):
        return int(value)
    digits = 3 - len(str(int(abs(value)))) if abs(value) >= 1 else 3
    return round(value, digits) if digits > 0 else round(value)
