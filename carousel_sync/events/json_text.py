"""Parts of a JSON text, character by character: decoding and encoding would change numbers, order and white space."""

from __future__ import annotations

import json
import re
from typing import Final

_BETWEEN_MEMBERS: Final = re.compile(r"[\s,:]*")


def member_as_written(text: str, name: str) -> str | None:
    """Return the text of a member's value in a JSON object, or None when there is no such member.

    ``text`` must be a valid JSON object. If the name is repeated, the last member counts, as in :mod:`json`.
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
