"""Formatting the body of a dead letter."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

_LIST_OF_SCALARS: Final = re.compile(r'\[[^\[\]{}"]*\]')
_LINE_BREAK: Final = re.compile(r"\s*\n\s*")


def pretty(body: str) -> str:
    """Indent JSON, with unchanged numbers, and each list of numbers on one line. Other text is returned unchanged."""
    try:
        number: Any = orjson.Fragment
        document = json.loads(body, parse_float=number, parse_int=number, parse_constant=number)
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    except (ValueError, TypeError, RecursionError):
        return body
    return _LIST_OF_SCALARS.sub(lambda match: _LINE_BREAK.sub(" ", match[0]), text)
