"""The queries for CloudWatch Logs Insights: every field and text that they name is one that the function logs."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.project import PROJECT_ROOT
from lambda_fn.ports import LogKeys
from lambda_fn.telemetry import SERVICE, PowertoolsTelemetry

QUERIES = sorted((PROJECT_ROOT / "queries/logs").glob("*.cwli"))
# Fields that CloudWatch Logs makes of every line and of Lambda's own (CloudWatch Logs User Guide, "Supported logs and
# discovered fields").
DISCOVERED = {"@timestamp", "@message", "@type", "@duration", "@initDuration", "@maxMemoryUsed"}
# CloudWatch Logs User Guide, "CloudWatch Logs Insights language query syntax".
COMMANDS = {"fields", "filter", "stats", "sort", "limit"}
WORDS = {"by", "as", "and", "or", "like", "asc", "desc"}
FUNCTIONS = {"count", "sum", "avg", "min", "max", "pct", "bin", "ispresent"}
_QUOTED = re.compile(r'"[^"]*"|/(?:[^/\\]|\\.)*/(?!\s*\d)')
_WORD = re.compile(r"@?[A-Za-z_][A-Za-z_0-9]*")


def without_comments(path: Path) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))


def fields_of(query: str) -> set[str]:
    """Return the names of a query that are fields: not its commands and functions, and not what it names itself."""
    plain = _QUOTED.sub("", query)
    named_here = set(re.findall(r"\bas\s+([a-z_0-9]+)", plain))
    plain = re.sub(r"bin\(\w+\)", "", plain)
    words = set(_WORD.findall(plain))
    functions = {word for word in words if re.search(rf"{re.escape(word)}\(", plain)}
    assert functions <= FUNCTIONS
    # A field may be called like a function: "count" stands alone there.
    alone = {word for word in words if re.search(rf"(?<![\w@]){re.escape(word)}(?![\w(])", plain)}
    return alone - COMMANDS - WORDS - named_here


@pytest.fixture(scope="module")
def logged() -> set[str]:
    """Every key of a line that carries everything that a line may carry."""
    telemetry = PowertoolsTelemetry("dev")
    telemetry.start("request-1")
    (handler,) = logging.getLogger(SERVICE).handlers
    assert isinstance(handler, logging.StreamHandler)
    before, handler.stream = handler.stream, io.StringIO()
    try:
        keys: Any = dict.fromkeys(LogKeys.__annotations__, 1)
        telemetry.info("x", **keys)
        return set(json.loads(handler.stream.getvalue()))
    finally:
        handler.stream = before


def test_there_are_queries() -> None:
    assert len(QUERIES) >= 9


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_every_field_of_a_query_is_logged(path: Path, logged: set[str]) -> None:
    fields = fields_of(without_comments(path))
    assert fields
    assert fields <= logged | DISCOVERED


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_every_text_of_a_query_is_logged(path: Path) -> None:
    sources = "".join(source.read_text() for source in (PROJECT_ROOT / "lambda_fn").rglob("*.py"))
    for text in re.findall(r'message = "([^"]*)"', path.read_text()):
        assert f'"{text}"' in sources


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_says_what_it_is_for_and_begins_with_a_command(path: Path) -> None:
    assert path.read_text().startswith("# ")
    steps = [step.split()[0] for step in without_comments(path).split("|")]
    assert set(steps) <= COMMANDS


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_is_in_the_list(path: Path) -> None:
    assert f"[{path.name}](logs/{path.name})" in (PROJECT_ROOT / "queries/logs.md").read_text()


def test_a_field_that_nobody_logs_would_be_noticed(logged: set[str]) -> None:
    wrong = 'fields @timestamp, sale_price | filter message = "x" | stats count(*) as lines by brand'
    assert fields_of(wrong) - logged - DISCOVERED == {"sale_price", "brand"}
