"""The result of a measurement: samples of both sides, their ratio, and whether the target is met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One row of the report.

    ``ours`` and ``anchor`` are samples in the order in which they were taken, side by side. ``ratio`` is what the
    target refers to; None if it refers to our figure alone. ``met`` is None for a row without a target.
    """

    name: str
    unit: str
    ours: Sequence[float]
    anchor: Sequence[float] = ()
    ratio: float | None = None
    target: str = ""
    met: bool | None = None

    def cells(self, yes: str, no: str) -> list[str]:
        """Return the row as text for a table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = {True: yes, False: no, None: ""}[self.met]
        return [self.name, self.unit, _spread(self.ours), _spread(self.anchor), ratio, self.target, met]


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the report as a JSON list. The samples are represented by their medians."""
    documents = [
        asdict(row)
        | {
            "ours": _rounded(median(row.ours)),
            "anchor": _rounded(median(row.anchor)) if row.anchor else None,
            "ratio": None if row.ratio is None else _rounded(row.ratio),
        }
        for row in rows
    ]
    path.write_text(json.dumps(documents, indent=2) + "\n")


def as_table(rows: Sequence[Row]) -> Table:
    """Return the report as a table for a terminal."""
    table = Table("measured", "unit", title="Ours beside what one would use instead: median (lowest to highest)")
    for heading in ("ours", "anchor", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("target")
    table.add_column("met")
    for row in rows:
        table.add_row(*row.cells("[green]yes[/]", "[bold red]no[/]"))
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the report as a Markdown table."""
    lines = ["| what | unit | ours | anchor | ratio | target | met |", "| --- | --- | ---: | ---: | ---: | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells('yes', '**no**'))} |" for row in rows)])


def _spread(samples: Sequence[float]) -> str:
    """Return the median, with the lowest and the highest value if they differ."""
    if not samples:
        return ""
    lowest, middle, highest = (f"{_rounded(value):,}" for value in (min(samples), median(samples), max(samples)))
    return middle if lowest == highest else f"{middle} ({lowest} to {highest})"


def _rounded(value: float) -> float:
    """Round to three significant digits, but keep all digits before the decimal point."""
    return round(value) if value == int(value) or abs(value) >= 100 else float(f"{value:.3g}")  # noqa: PLR2004
