"""Measures a REST catalog's answers that contain a table's metadata, and shortens the answers to commits.

A catalog answers each commit with the whole metadata: every retained snapshot, two logs, and every schema that the
table ever had. The writer knows the history on which it has just committed, but pyiceberg builds an object for each
entry: with 2,000 retained snapshots that takes as long as the rest of a commit. So an answer to a commit keeps only the
snapshots that a branch or a tag refers to, and the current schema.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter


class TableAnswers(BaseAdapter):
    """Forwards requests, reports the size in bytes of each answer about a table, and shortens answers to commits."""

    def __init__(self, inner: BaseAdapter, table_answered: Callable[[int], None]) -> None:
        super().__init__()
        self._inner = inner
        self._table_answered = table_answered

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request, and read the answer if it is about a table."""
        response = self._inner.send(request, stream, timeout, verify, cert, proxies)
        # Tables are loaded from and committed to .../tables/NAME; both answers contain the whole metadata.
        if response.ok and "/tables/" in urlsplit(response.url).path:
            body = response.raw.read(decode_content=True)
            self._table_answered(len(body))
            response.raw = io.BytesIO(without_history(body) if request.method == "POST" else body)
            response.encoding = "utf-8"  # RFC 8259; without a header, requests would inspect every byte.
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def without_history(body: bytes) -> bytes:
    """Return an answer whose table metadata has only the current schema and the snapshots that are referred to.

    An answer without table metadata is returned unchanged.
    """
    try:
        answer = orjson.loads(body)
        metadata = answer["metadata"]
        referred = {reference["snapshot-id"] for reference in metadata["refs"].values()}
        metadata["snapshots"] = [snapshot for snapshot in metadata["snapshots"] if snapshot["snapshot-id"] in referred]
        current = metadata["current-schema-id"]
        metadata["schemas"] = [schema for schema in metadata["schemas"] if schema["schema-id"] == current]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return body
    metadata["snapshot-log"] = []
    metadata["metadata-log"] = []
    return orjson.dumps(answer)
