"""The queries for CloudWatch Logs Insights name only fields and messages that the function logs."""

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
# Fields that CloudWatch Logs discovers in every line and in Lambda's own lines (CloudWatch Logs User Guide, "Supported
# logs and discovered fields").
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
    """Return the fields that a query names, without commands, functions and its own aliases."""
    plain = _QUOTED.sub("", query)
    named_here = set(re.findall(r"\bas\s+([a-z_0-9]+)", plain))
    plain = re.sub(r"bin\(\w+\)", "", plain)
    words = set(_WORD.findall(plain))
    functions = {word for word in words if re.search(rf"{re.escape(word)}\(", plain)}
    assert functions <= FUNCTIONS
    # "count" is a field as well as a function: as a field it has no parenthesis.
    alone = {word for word in words if re.search(rf"(?<![\w@]){re.escape(word)}(?![\w(])", plain)}
    return alone - COMMANDS - WORDS - named_here


@pytest.fixture(scope="module")
def logged() -> set[str]:
    """Every key that a log line may contain."""
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


def test_queries_are_found() -> None:
    assert len(QUERIES) >= 9


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_every_field_of_a_query_is_logged(path: Path, logged: set[str]) -> None:
    fields = fields_of(without_comments(path))
    assert fields
    assert fields <= logged | DISCOVERED


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_every_message_of_a_query_is_logged(path: Path) -> None:
    sources = "".join(source.read_text() for source in (PROJECT_ROOT / "lambda_fn").rglob("*.py"))
    for text in re.findall(r'message = "([^"]*)"', path.read_text()):
        assert f'"{text}"' in sources


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_has_a_comment_and_only_known_commands(path: Path) -> None:
    assert path.read_text().startswith("# ")
    steps = [step.split()[0] for step in without_comments(path).split("|")]
    assert set(steps) <= COMMANDS


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_is_listed_in_the_index(path: Path) -> None:
    assert f"[{path.name}](logs/{path.name})" in (PROJECT_ROOT / "queries/logs.md").read_text()


def test_field_that_is_not_logged_is_detected(logged: set[str]) -> None:
    wrong = 'fields @timestamp, sale_price | filter message = "x" | stats count(*) as lines by brand'
    assert fields_of(wrong) - logged - DISCOVERED == {"sale_price", "brand"}
