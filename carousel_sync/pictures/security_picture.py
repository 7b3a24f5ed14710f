"""Who may do what to which data, drawn for docs/security.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NamedTuple

from carousel_sync.pictures.svg import GREY, rect, svg, text

NAME: Final = "security.svg"
_HEIGHT: Final = 430
_DARK: Final = "#334155"
_BOUNDARY: Final = "#dc2626"


class Box(NamedTuple):
    """Something that acts or keeps: its place, its name, and what is said of it."""

    x: int
    y: int
    width: int
    height: int
    colour: str
    name: str
    lines: tuple[str, ...]


PRODUCERS = Box(20, 150, 130, 74, "#fde68a", "Producers", ("events:PutEvents", "on the bus"))
RULE = Box(200, 150, 120, 74, "#fde68a", "Event rule", ("sqs:SendMessage", "to two queues"))
BUFFER = Box(370, 150, 130, 74, "#fecdd3", "Buffer queue", ("4 days, encrypted",))
LETTERS = Box(370, 310, 130, 74, "#fecdd3", "Dead letters", ("14 days, encrypted", "holds whole events"))
FUNCTION = Box(550, 140, 130, 94, "#fed7aa", "Function", ("one role, no", "wildcard action,", "no secret"))
TABLES = Box(730, 60, 150, 74, "#bfdbfe", "DynamoDB", ("guard, projection", "encrypted"))
ICEBERG = Box(730, 160, 150, 74, "#bbf7d0", "S3 Tables", ("one table, no drop", "encrypted"))
LOG = Box(730, 310, 150, 74, "#e2e8f0", "Log", ("ids and counts,", "no fact of a sale"))
BOXES: Final = (PRODUCERS, RULE, BUFFER, LETTERS, FUNCTION, TABLES, ICEBERG, LOG)
WAYS: Final = (
    (PRODUCERS, RULE),
    (RULE, BUFFER),
    (BUFFER, FUNCTION),
    (FUNCTION, TABLES),
    (FUNCTION, ICEBERG),
    (FUNCTION, LOG),
    (FUNCTION, LETTERS),
    (RULE, LETTERS),
    (BUFFER, LETTERS),
)


def picture() -> str:
    """Draw the way of the data, the account's boundary, and each box's rights or protection."""
    parts = [
        (
            '<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0L10 5L0 10z" fill="{_DARK}"/></marker></defs>'
        ),
        (
            '<rect x="175" y="44" width="715" height="356" rx="10" fill="none" '
            f'stroke="{_BOUNDARY}" stroke-dasharray="6 5"/>'
        ),
        text(185, 64, "trusted: this account; what crosses the line is checked field by field", colour=_BOUNDARY),
    ]
    parts += [_way(start, end) for start, end in WAYS]
    for box in BOXES:
        parts.append(rect(box.x, box.y, box.width, box.height, box.colour))
        middle = box.x + box.width / 2
        parts.append(text(middle, box.y + 22, box.name, anchor="middle", weight=600))
        parts += [
            text(middle, box.y + 42 + 17 * number, line, anchor="middle", size=12, colour=GREY)
            for number, line in enumerate(box.lines)
        ]
    return svg("Who may do what, and what is protected how", _HEIGHT, parts)


def _way(start: Box, end: Box) -> str:
    """Draw an arrow from one box's edge to the other's."""
    if start.x + start.width <= end.x:
        x1, x2 = start.x + start.width, end.x
        y1, y2 = start.y + start.height / 2, end.y + end.height / 2
    elif end.x + end.width <= start.x:
        x1, x2 = start.x, end.x + end.width
        y1, y2 = start.y + start.height * 3 / 4, end.y + end.height / 2
    else:
        x1 = x2 = end.x + end.width // 2
        y1, y2 = start.y + start.height, end.y
    return f'<path d="M{x1} {y1:.0f}L{x2} {y2:.0f}" stroke="{_DARK}" fill="none" marker-end="url(#a)"/>'


def main(folder: Path) -> None:
    """Write the picture into a folder."""
    (folder / NAME).write_text(picture())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
