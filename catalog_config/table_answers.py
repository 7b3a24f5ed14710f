"""Measures a REST catalog's answers that contain a table's metadata, and shortens them.

A catalog answers each load and each commit with the whole metadata: every retained snapshot, two logs, and every schema
that the table ever had. pyiceberg builds an object for each entry. With 31,250 retained snapshots, that takes more
memory than the function has. So an answer keeps only the snapshots that a branch or a tag refers to, and the current
schema. Of the other snapshots the writer needs no more than :class:`PastSnapshot`. An answer to a load carries these in
its configuration, where :func:`history_in` finds them. An answer to a commit has none: the writer knows the history on
which it has just committed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from catalog_config.table_properties import BACKFILL, FENCED_ATTEMPTS, LANDED_ATTEMPTS

_HISTORY: Final = "carousel.history"


class _Summary(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    fenced_attempts: str = msgspec.field(name=FENCED_ATTEMPTS, default="")
    landed_attempts: str = msgspec.field(name=LANDED_ATTEMPTS, default="")
    backfill: str = msgspec.field(name=BACKFILL, default="")


class PastSnapshot(msgspec.Struct, frozen=True, rename="kebab", gc=False, omit_defaults=True):
    """A snapshot as the Iceberg specification writes it, without the fields that no judgement of a commit needs."""

    snapshot_id: int
    parent_snapshot_id: int | None = None
    sequence_number: int = 0
    summary: _Summary = _Summary()


class TableAnswers(BaseAdapter):
    """Forwards requests, reports the size in bytes of each answer about a table, and shortens these answers."""

    def __init__(self, inner: BaseAdapter, table_answered: Callable[[int], None]) -> None:
        super().__init__()
        self._inner = inner
        self._table_answered = table_answered

    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        """Send a request, and read the answer if it is one about a table."""
        response = self._inner.send(request, *arguments, **options)
        # A table is loaded from, and committed to, .../tables/NAME; both answers carry its whole metadata.
        if response.ok and "/tables/" in urlsplit(response.url).path:
            body = response.raw.read(decode_content=True)
            self._table_answered(len(body))
            response.raw = io.BytesIO(shortened(body, with_history=request.method == "GET"))
            response.encoding = "utf-8"  # RFC 8259; without a header, requests would inspect every byte.
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def shortened(body: bytes, *, with_history: bool) -> bytes:
    """Return an answer whose table metadata has only the current schema and the snapshots that are referred to.

    ``with_history`` adds all snapshots in their short form. An answer without table metadata is returned unchanged.
    """
    try:
        answer = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(answer["metadata"], type=dict[str, msgspec.Raw])
        references = msgspec.json.decode(metadata["refs"], type=dict[str, dict[str, Any]])
        history = msgspec.json.decode(metadata["snapshots"], type=list[PastSnapshot])
        schemas = msgspec.json.decode(metadata["schemas"], type=list[dict[str, Any]])
        current = msgspec.json.decode(metadata["current-schema-id"])
        config = msgspec.json.decode(answer.get("config", b"{}"), type=dict[str, Any])
        referred = {reference["snapshot-id"] for reference in references.values()}
    except (msgspec.DecodeError, KeyError):
        return body
    snapshots = msgspec.json.decode(metadata["snapshots"], type=list[msgspec.Raw])
    shorter: dict[str, Any] = {
        "snapshots": [raw for raw, past in zip(snapshots, history, strict=True) if past.snapshot_id in referred],
        "schemas": [schema for schema in schemas if schema.get("schema-id") == current],
        "snapshot-log": [],
        "metadata-log": [],
    }
    if with_history:
        config[_HISTORY] = msgspec.json.encode(history).decode()
        return msgspec.json.encode({**answer, "config": config, "metadata": {**metadata, **shorter}})
    return msgspec.json.encode({**answer, "metadata": {**metadata, **shorter}})


def history_in(config: Mapping[str, str]) -> list[PastSnapshot] | None:
    """Return all snapshots of a loaded table from its configuration, or None if its metadata has them all."""
    text = config.get(_HISTORY)
    return None if text is None else msgspec.json.decode(text, type=list[PastSnapshot])
