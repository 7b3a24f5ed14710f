"""The files in queries/athena: a comment that says what the query answers, and SQL with parameters such as ``:tenant``.

The comment begins with the question. Below it are the parameters, one or more in a line, each indented by two spaces,
and a line "Reads:" that says which partitions the query reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import sqlglot

from carousel_sync.analysis.parameters import DEFAULTS, DIALECT, OPTIONS, Value, literal
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.errors import CarouselSyncError, ConfigurationError

FOLDER: Final = PROJECT_ROOT / "queries" / "athena"

# sqlglot takes the rest of a statement that begins with OPTIMIZE as one text. It does not if something precedes it.
_BEFORE: Final = "SELECT "
_COMMENT: Final = re.compile(r"(?:--.*\n)+")
_PARAMETERS: Final = re.compile(r"^--   ((?::\w+(?:, )?)+)", re.MULTILINE)
_READS: Final = re.compile(r"^-- Reads: (.*(?:\n-- .+)*)", re.MULTILINE)


class UnknownQuery(CarouselSyncError):
    """There is no query with that name. The message lists the queries that exist."""


@dataclass(frozen=True)
class Query:
    """A query. ``text`` is the whole file: the comment, and the SQL with its parameters."""

    name: str
    text: str

    @property
    def question(self) -> str:
        """The question that the query answers."""
        return self.comment.partition("\n--\n")[0].replace("\n--", "").removeprefix("-- ")

    @property
    def comment(self) -> str:
        """The comment at the top of the file."""
        found = _COMMENT.match(self.text)
        return found[0] if found else ""

    @property
    def described(self) -> list[str]:
        """The parameters that the comment lists."""
        return [name.strip(" :") for line in _PARAMETERS.findall(self.comment) for name in line.split(",")]

    @property
    def reads(self) -> str:
        """The partitions that the query reads, in words."""
        found = _READS.search(self.comment)
        return found[1].replace("\n-- ", " ") if found else ""

    @property
    def parameters(self) -> list[str]:
        """The parameters that the SQL has, in the order of their first use."""
        return list(dict.fromkeys(name for name, _, _ in _placeholders(self.text)))

    @property
    def changes_the_table(self) -> bool:
        """Whether the statement is not a query: Athena's OPTIMIZE or VACUUM."""
        return self.text.removeprefix(self.comment).split()[0].upper() not in {"SELECT", "WITH"}

    def values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Return a value for each parameter: the given one, else its default.

        Raises ConfigurationError when one is missing, or when one is given that the query does not have.
        """
        wanted = self.parameters
        missing = [name for name in wanted if name not in given and name not in DEFAULTS]
        if missing:
            raise ConfigurationError(f"The query {self.name} also needs {_options(missing)}. {self._takes()}")
        unknown = [name for name in given if name not in wanted]
        if unknown:
            raise ConfigurationError(f"The query {self.name} does not take {_options(unknown)}. {self._takes()}")
        return {name: given[name] if name in given else DEFAULTS[name] for name in wanted}

    def sql(self, values: Mapping[str, Value]) -> str:
        """Return the file with every parameter of the SQL replaced by a literal. Comments stay as they are."""
        parts, end = [], 0
        for name, start, stop in _placeholders(self.text):
            parts += [self.text[end:start], literal(values[name])]
            end = stop
        return "".join([*parts, self.text[end:]])

    def _takes(self) -> str:
        return f"It takes {_options(self.parameters)}." if self.parameters else "It has no parameters."


@cache
def queries() -> dict[str, Query]:
    """Return all queries by name, in alphabetical order."""
    return {path.stem: Query(path.stem, path.read_text()) for path in sorted(FOLDER.glob("*.sql"))}


def query_named(name: str) -> Query:
    """Return a query. Raises UnknownQuery."""
    try:
        return queries()[name]
    except KeyError:
        raise UnknownQuery(
            f"There is no query named {name!r}. There are {', '.join(queries())}. Their questions: carousel-sync query "
            "--list"
        ) from None


def prepared(name: str, given: Mapping[str, Value]) -> str:
    """Return the SQL of a query with its values. Raises UnknownQuery, and what :meth:`Query.values` raises."""
    query = query_named(name)
    return query.sql(query.values(given))


def _placeholders(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each parameter's name, and where it begins and ends. Text in quotes and comments has none."""
    tokens = sqlglot.tokenize(_BEFORE + text, read=DIALECT)
    for colon, name in pairwise(tokens):
        if colon.token_type is sqlglot.TokenType.COLON and name.start == colon.end + 1:
            yield name.text, colon.start - len(_BEFORE), name.end + 1 - len(_BEFORE)


def _options(parameters: list[str]) -> str:
    options = dict.fromkeys(OPTIONS.get(name, f"--{name}") for name in parameters)
    return ", ".join(options)
