"""Whom a request is for, and how many of each kind a process sends."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ \S+ HTTP/1\.1\r\n")
# The body may follow in the same piece.
_HEAD_END: Final = b"\r\n\r\n"


def addressee(method: str, path: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return whom a request is for, and what it asks. The names of the headers are lower case."""
    target = headers.get("x-amz-target", "")
    if target:
        return target.split("_")[0].split(".")[0].lower().removeprefix("amazon"), target.rpartition(".")[2]
    parts = urlsplit(path)
    if parts.path.startswith("/iceberg"):
        return "catalog", method
    multipart = "uploads" in parts.query or "uploadId" in parts.query
    return "s3", f"{method} multipart" if multipart else method


class RequestCounter:
    """Counts the HTTP requests of this process from now on, whoever sends them.

    It listens to the interpreter's own audit event ``http.client.send`` (Python documentation, "Audit events table"),
    so that nothing of the code that is measured has to be changed. It can't be taken off again.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        sys.addaudithook(self._heard)

    def taken(self) -> dict[str, int]:
        """Return the requests since the last call, as ``service action`` and their number."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Heads and bodies come this way, and bodies need not be bytes.
        if event == "http.client.send" and isinstance(arguments[1], bytes) and _REQUEST_LINE.match(arguments[1]):
            self._counts[name_of_request(arguments[1])] += 1


def name_of_request(content: bytes) -> str:
    """Return ``service action`` of a request as it goes over the wire."""
    first, *lines = content.partition(_HEAD_END)[0].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return " ".join(addressee(method, path, headers))
