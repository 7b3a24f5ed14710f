r"""Text from outside (events, rows, items, messages of services) as a terminal may show it.

A terminal obeys control characters, and rich obeys markup such as ``[bold]`` and emoji codes such as ``:fire:``. Here,
control characters become escapes such as ``\x1b``, and nothing else is interpreted. The consoles of
:mod:`.console` treat every string this way; a :class:`rich.text.Text` is made only here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

from rich.console import Console
from rich.progress import Task, TextColumn
from rich.text import Text

# Unicode's general categories: control and format characters (bidirectional controls are among the latter), surrogates,
# private and unassigned characters; line and paragraph separators.
_OBEYED: Final = ("C", "Zl", "Zp")
_ASCII: Final = re.compile(r"[ -~]*")
_LAYOUT: Final = frozenset("\n\t")


def printable(text: str, keep: frozenset[str] = _LAYOUT) -> str:
    """Return the text with an escape in place of each control character except those to ``keep``."""
    if _ASCII.fullmatch(text):
        return text
    return "".join(
        _escape(character)
        if unicodedata.category(character).startswith(_OBEYED) and character not in keep
        else character
        for character in text
    )


def one_line(text: str) -> str:
    """Return the text on one line: line breaks and tabs are shown as escapes as well."""
    return printable(text, frozenset())


def cell(text: str, longest: int | None = None, style: str = "") -> Text:
    """Return a value for a cell of a table, on one line, shortened to ``longest`` characters."""
    shortened = text if longest is None or len(text) <= longest else f"{text[:longest]}..."
    return Text(one_line(shortened), style=style)


def emphasised(head: str, rest: str = "", style: str = "bold") -> Text:
    """Return a line whose beginning has a style."""
    return Text.assemble((printable(head), style), printable(rest))


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON in which control characters are escaped, and other characters stay as they are.

    Strings are the only part of JSON that can contain such characters. Values that JSON does not have become strings.
    """
    text = json.dumps(value, indent=indent, default=str, ensure_ascii=False)
    return "".join(_json_escape(character) for character in text) if not text.isascii() or "\x7f" in text else text


def _escape(character: str) -> str:
    number = ord(character)
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    if number <= 0xFF:  # noqa: PLR2004 - the largest number of two hexadecimal digits
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004 - four digits


def _json_escape(character: str) -> str:
    if character == "\n" or not unicodedata.category(character).startswith(_OBEYED):
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


class PlainConsole(Console):
    """A console that interprets nothing in a string: no markup, no emoji code, no control character."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string to Text. rich calls this for every string, in tables as well."""
        return super().render_str(printable(text), **options)


class PlainColumn(TextColumn):
    """The description of a task of a progress bar, as it is."""

    def render(self, task: Task) -> Text:
        """Return the description."""
        return Text(one_line(task.description), style="progress.description")
