"""Parts of a JSON text as they are written: decoding and encoding would change numbers, order and white space."""

from __future__ import annotations

import json
import re
from typing import Final

_BETWEEN_MEMBERS: Final = re.compile(r"[\s,:]*")


def member_as_written(text: str, name: str) -> str | None:
    """Return the text of a member of a JSON object; None when it has no such member.

    The text is known to be a JSON object; of repeated members the last one counts, as in ``json``.
    """
    decoder = json.JSONDecoder()
    written: str | None = None
    position = text.index("{") + 1
    while text[position := _end_of_gap(text, position)] != "}":
        key, position = decoder.raw_decode(text, position)
        start = _end_of_gap(text, position)
        _, position = decoder.raw_decode(text, start)
        if key == name:
            written = text[start:position]
    return written


def _end_of_gap(text: str, position: int) -> int:
    gap = _BETWEEN_MEMBERS.match(text, position)
    return gap.end() if gap else position
