"""Answers of a REST catalog that carry a table's metadata: how large they are, and without what a writer knows already.

A catalog answers each commit with the whole metadata: every retained snapshot, and two logs. The writer has no use for
them, since it knows the history on which it has just committed, but pyiceberg makes an object of each: at 2,000
retained snapshots that took as much time as the rest of a commit, and each schema that the table ever had is 0.5 ms.
Only the snapshots to which a branch or a tag points are handed on, and the current schema.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter


class TableAnswers(BaseAdapter):
    """Passes requests on, reports the size of each answer about a table, and shortens the answers to commits."""

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
            response.raw = io.BytesIO(without_history(body) if request.method == "POST" else body)
            response.encoding = "utf-8"  # RFC 8259; where no header says so, requests would look at every byte.
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def without_history(body: bytes) -> bytes:
    """Return table metadata with the current schema, and the snapshots that are referred to, and no others.

    Anything else is returned as it is.
    """
    try:
        answer = orjson.loads(body)
        metadata = answer["metadata"]
        referred = {reference["snapshot-id"] for reference in metadata["refs"].values()}
        metadata["snapshots"] = [kept for kept in metadata["snapshots"] if kept["snapshot-id"] in referred]
        current = metadata["current-schema-id"]
        metadata["schemas"] = [schema for schema in metadata["schemas"] if schema["schema-id"] == current]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return body
    metadata["snapshot-log"] = []
    metadata["metadata-log"] = []
    return orjson.dumps(answer)
