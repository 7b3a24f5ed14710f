"""Parallel requests, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Argument = TypeVar("Argument")
Answer = TypeVar("Answer")


class InTurn:
    """Runs functions one after the other, in the caller's thread."""

    def map(self, function: Callable[[Argument], Answer], arguments: Iterable[Argument]) -> list[Answer]:
        """Call the function with each argument, and return the results in the same order."""
        return [function(argument) for argument in arguments]

    def both(self, function: Callable[[], Answer], beside: Callable[[], None]) -> Answer:
        """Run the first function, then the second, and return the first one's result."""
        try:
            answer = function()
        except Exception:
            beside()
            raise
        beside()
        return answer
