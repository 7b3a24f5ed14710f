"""Parses the PartiQL write statements that lambda_fn sends. Anything else is an error.

Source: Amazon DynamoDB Developer Guide, "PartiQL insert statements" and "PartiQL update statements".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_INSERT: Final = re.compile(r"""INSERT INTO "([^"]+)" VALUE \{('[^']+': \?(?:, '[^']+': \?)*)\}""")
_UPDATE: Final = re.compile(
    r"""UPDATE "([^"]+)"((?: SET "[^"]+" = \?)+)((?: REMOVE "[^"]+")*) WHERE ("[^"]+" = \?(?: AND "[^"]+" = \?)*)"""
)
_IN_SINGLE_QUOTES: Final = re.compile(r"'([^']+)'")
_IN_DOUBLE_QUOTES: Final = re.compile(r'"([^"]+)"')


class UnsupportedStatement(NotImplementedError):
    """The DynamoDB in memory does not know this statement. To add it, add a contract test on the real engine, too."""


@dataclass(frozen=True)
class Insert:
    """``INSERT INTO "table" VALUE {'name': ?, ...}``, with a parameter for each name."""

    table: str
    names: tuple[str, ...]

    @property
    def parameter_count(self) -> int:
        """The number of parameters that the statement takes."""
        return len(self.names)


@dataclass(frozen=True)
class Update:
    """``UPDATE "table" SET "name" = ? ... REMOVE "name" ... WHERE "name" = ? AND ...``.

    A parameter for each name that is set, then one for each that is compared.
    """

    table: str
    set_names: tuple[str, ...]
    removed_names: tuple[str, ...]
    compared_names: tuple[str, ...]

    @property
    def parameter_count(self) -> int:
        """The number of parameters that the statement takes."""
        return len(self.set_names) + len(self.compared_names)


@lru_cache(maxsize=1024)
def parse(text: str) -> Insert | Update:
    """Parse a statement. Raises UnsupportedStatement."""
    insert = _INSERT.fullmatch(text)
    if insert:
        table, names = insert.groups()
        return Insert(table, _distinct(text, _IN_SINGLE_QUOTES.findall(names)))
    update = _UPDATE.fullmatch(text)
    if update:
        table, set_names, removed_names, compared_names = update.groups()
        changed = _distinct(text, _IN_DOUBLE_QUOTES.findall(set_names + removed_names))
        set_count = set_names.count('" = ?')
        compared = _distinct(text, _IN_DOUBLE_QUOTES.findall(compared_names))
        return Update(table, changed[:set_count], changed[set_count:], compared)
    raise UnsupportedStatement(text)


def _distinct(text: str, names: list[str]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise UnsupportedStatement(f"a name twice in {text}")
    return tuple(names)
