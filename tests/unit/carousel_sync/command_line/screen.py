"""A terminal of a width, or a pipe, as the commands see it; and text that a terminal would obey."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest

from carousel_sync.command_line import console

HOSTILE: Final = "[bold]x[/] [/no] :fire: \x1b[31m \x1b]0;t\x07 a\rb\nc \x9b2J \u202egpj\u2066 \u2028 \x7f \U000e0001"
"""Markup, an emoji code, escape sequences of one and of two bytes, line breaks, bidirectional controls, separators."""
SHOWN: Final = (
    "[bold]x[/] [/no] :fire: \\x1b[31m \\x1b]0;t\\x07 a\\rb\\nc \\x9b2J \\u202egpj\\u2066 \\u2028 \\x7f \\U000e0001"
)
"""The same text as a command shows it on one line."""


def obeyed(output: str) -> set[str]:
    """Return the characters of an output that a terminal would obey, apart from those that lay it out."""
    return {
        character
        for character in output
        if character not in "\n\t" and unicodedata.category(character).startswith(("C", "Zl", "Zp"))
    }


def printed(monkeypatch: pytest.MonkeyPatch, width: int | None, act: Callable[[], object]) -> str:
    """Return what ``act`` prints, without colours: on a terminal of this width, or in a pipe (None)."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    # The screen's state is no public attribute of rich's console, which makes it from the environment once.
    monkeypatch.setattr(console.stdout, "_force_terminal", width is not None)
    monkeypatch.setattr(console.stdout, "_width", width)
    monkeypatch.setattr(console.stdout, "_height", 50)
    monkeypatch.setattr(console.stdout, "_color_system", None)
    monkeypatch.setattr(console.stderr, "_force_terminal", False)
    with suppress(SystemExit):
        act()
    return stream.getvalue()
