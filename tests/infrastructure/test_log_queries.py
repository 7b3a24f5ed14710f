"""The queries for CloudWatch Logs Insights name only fields and messages that the function logs."""

from __future__ import annotations

import io
import json
import logging
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.application import Application
from lambda_fn.event import parse_message
from lambda_fn.ports import NO_SNAPSHOT, LogKeys
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale
from lambda_fn.telemetry import SERVICE
from lambda_fn.wiring import build
from tests.builders import event
from tests.infrastructure.conftest import batch

NOTHING_BACK: dict[str, list[Any]] = {"batchItemFailures": []}

QUERIES = sorted((PROJECT_ROOT / "queries/logs").glob("*.cwli"))
# Fields that CloudWatch Logs discovers in every line and in Lambda's own lines (CloudWatch Logs User Guide, "Supported
# logs and discovered fields").
DISCOVERED = {"@timestamp", "@message", "@type", "@duration", "@initDuration", "@maxMemoryUsed"}
# CloudWatch Logs User Guide, "CloudWatch Logs Insights language query syntax".
COMMANDS = {"fields", "filter", "stats", "sort", "limit"}
WORDS = {"by", "as", "and", "or", "like", "asc", "desc"}
FUNCTIONS = {"count", "count_distinct", "sum", "avg", "min", "max", "pct", "bin", "ispresent"}
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
def logged(stack: LocalStack) -> set[str]:
    """Every key of the lines that the function logs for new, repeated, invalid, contested and unstorable sales."""
    target = stack.target()
    letters = target.client("sqs").create_queue(QueueName=f"letters-{uuid.uuid4().hex}")["QueueUrl"]
    settings = replace(target.settings, catalog=target.catalog_config, dead_letter_queue_url=letters)
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    good, bad = event(tenantId=tenant, shade="red"), event(tenantId=tenant, saleId="bad", salePrice="much")
    given = batch(json.dumps(good), json.dumps(good), json.dumps(bad))
    abandoned = event(tenantId=tenant, saleId="abandoned")
    application = build(settings)
    (handler,) = logging.getLogger(SERVICE).handlers
    assert isinstance(handler, logging.StreamHandler)
    before, handler.stream = handler.stream, io.StringIO()
    try:
        abandon_claim(application, sale_of(abandoned))
        assert application.handle(batch(json.dumps(abandoned)), None) == NOTHING_BACK
        assert application.handle(given, None) == NOTHING_BACK
        assert build(replace(settings, table="missing")).handle(given, None)["batchItemFailures"]
        return {key for line in handler.stream.getvalue().splitlines() for key in json.loads(line)}
    finally:
        handler.stream = before
        target.client("sqs").delete_queue(QueueUrl=letters)


def sale_of(envelope: dict[str, Any]) -> Sale:
    content = parse_message("message", json.dumps(envelope), "").content
    assert isinstance(content, Sale)
    return content


def abandon_claim(application: Application, sale: Sale) -> None:
    """Claim a sale for an attempt whose lease is over at once, so that the next delivery takes it over."""
    guard = application.process.sync_sales.guard
    guard.claim([sale], 7, NO_SNAPSHOT, 0, Deadline.after(application.clock, 30))


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


def test_every_declared_key_is_logged(logged: set[str]) -> None:
    assert LogKeys.__annotations__.keys() <= logged
