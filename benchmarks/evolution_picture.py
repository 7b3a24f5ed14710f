"""Draws docs/pictures/schema-evolution.svg: ``python -m benchmarks.evolution_picture``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from carousel_sync.pictures.svg import COLOURS, FAINT, GREY, rect, svg, text

PICTURE: Final = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "schema-evolution.svg"

_LANES: Final = ("table", "function", "producers", "readers")
_TOP: Final = 90
_LANE: Final = 62
_PHASES: Final = (("expand", 130), ("migrate", 380), ("contract", 630))
_STEPS: Final = (
    ("table", 135, 150, "1  evolve apply", "new column, null"),
    ("function", 260, 150, "2  deploy", "writes the column"),
    ("producers", 385, 150, "3  send the field", "one after the other"),
    ("readers", 510, 150, "4  use the column", "old rows: null"),
    ("function", 635, 110, "5  deploy", "old field ignored"),
    ("table", 755, 130, "6  evolve apply", "old column deleted"),
)


def draw() -> str:
    """Return the order of a change that breaks nobody: who moves when."""
    bottom = _TOP + _LANE * len(_LANES)
    parts = [rect(x, _TOP - 34, 2, bottom - _TOP + 34, FAINT) for _, x in _PHASES]
    parts += [text(x + 8, _TOP - 18, name, weight=600, colour=COLOURS[0]) for name, x in _PHASES]
    for number, lane in enumerate(_LANES):
        y = _TOP + _LANE * number
        parts.append(text(20, y + 26, lane, weight=600))
        parts.append(rect(130, y + 21, 755, 2, FAINT))
    for lane, x, width, what, effect in _STEPS:
        y = _TOP + _LANE * _LANES.index(lane)
        parts.append(rect(x, y, width, 44, COLOURS[_LANES.index(lane)]))
        parts.append(text(x + 8, y + 19, what, colour="#ffffff", weight=600))
        parts.append(text(x + 8, y + 35, effect, colour="#ffffff", size=11))
    parts.append(
        text(130, bottom + 12, "Sales are stored all the time. A step may wait for weeks before the next.", colour=GREY)
    )
    return svg("Expand, migrate, contract", bottom + 30, parts)


if __name__ == "__main__":
    PICTURE.write_text(draw())
