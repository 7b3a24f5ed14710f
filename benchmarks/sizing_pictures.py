"""``python -m benchmarks.sizing_pictures FOLDER``: the pictures of cost and of metadata.json, from the formulae."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from carousel_sync.pictures.svg import COLOURS, RIGHT, TOP, WIDTH, Curve, Scale, curves, rect, svg, text, vertical
from carousel_sync.planning.bill import Bill, Workload, bill
from carousel_sync.planning.bytes_per_sale import measure
from carousel_sync.planning.capacity import METADATA_LIMIT_BYTES, metadata_bytes
from carousel_sync.planning.durations import cpu_milliseconds, lambda_milliseconds, log_bytes
from carousel_sync.planning.prices import LIST_PRICES

EMBEDDING: Final = 1024
SALES: Final = 1_000_000
SALES_PER_COMMIT: Final = 500
MEMORY_MB: Final = 512
HOURS: Final = (1, 6, 24, 120)
MOST_COMMITS_PER_SECOND: Final = 2.0
_MEGABYTE: Final = 1_000_000
_HIGHEST_MEGABYTES: Final = 60.0
_LABELS: Final = 270
_BAR: Final = 18


def month(embedding: int) -> Bill:
    """Return the first month of a million sales."""
    workload = Workload(
        events=SALES,
        sizes=measure(embedding),
        sales_per_commit=SALES_PER_COMMIT,
        lambda_milliseconds=lambda_milliseconds(cpu_milliseconds(SALES_PER_COMMIT, embedding), MEMORY_MB),
        memory_mb=MEMORY_MB,
        log_bytes_per_batch=log_bytes(SALES_PER_COMMIT),
    )
    return bill(workload, LIST_PRICES)


def cost_by_component(of: Bill) -> str:
    """Draw each line of a bill as a bar, in the colour of its service."""
    colours = dict(zip(of.by_service, COLOURS, strict=False))
    across = Scale(max(line.usd for line in of.lines), _LABELS, WIDTH - RIGHT - 70)
    parts: list[str] = []
    y = TOP
    for service, total in of.by_service.items():
        parts.append(text(24, y + 13, f"{service}: ${total:,.2f}", colour=colours[service], weight=600))
        y += _BAR + 4
        for line in (line for line in of.lines if line.service == service):
            parts.append(text(_LABELS - 8, y + 12, line.what, anchor="end", size=11))
            width = max(1.0, across.at(line.usd) - across.at(0))
            parts.append(rect(across.at(0), y, width, _BAR - 4, colours[service]))
            parts.append(text(across.at(0) + width + 6, y + 12, f"${line.usd:,.2f}", size=11))
            y += _BAR
        y += 8
    grid = [vertical(across, tick, TOP, y) for tick in across.ticks()]
    title = f"The first month of a million sales with {EMBEDDING:,} numbers, at list prices: ${of.usd:,.2f}"
    return svg(title, y + 30, [*grid, *parts])


def metadata_by_commit_rate() -> str:
    """Draw the size of metadata.json over commits a second, for some retentions, up to a little over the limit."""
    lines: dict[str, Curve] = {}
    for hours in HOURS:
        slope = metadata_bytes(1.0, hours) / _MEGABYTE
        end = min(MOST_COMMITS_PER_SECOND, _HIGHEST_MEGABYTES / slope)
        lines[f"{hours} h"] = [(0.0, 0.0), (end, slope * end)]
    limit = METADATA_LIMIT_BYTES / _MEGABYTE
    lines["what S3 Tables refuses"] = [(0.0, limit), (MOST_COMMITS_PER_SECOND, limit)]
    title = "Size of metadata.json (MB) for snapshots retained for 1, 6, 24 and 120 hours"
    return curves(title, lines, below="commits a second", label_end=False)


def main(folder: Path) -> None:
    """Write both pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cost-by-component.svg").write_text(cost_by_component(month(EMBEDDING)), encoding="utf-8")
    (folder / "metadata-size.svg").write_text(metadata_by_commit_rate(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
