"""Which service and action an HTTP request addresses, and how many of each a process sends."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ \S+ HTTP/1\.1\r\n")
_HEAD_END: Final = b"\r\n\r\n"


def service_and_action(method: str, path: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the service that a request addresses and the action it asks for. Header names must be lower case."""
    target = headers.get("x-amz-target", "")
    if target:
        return target.split("_")[0].split(".")[0].lower().removeprefix("amazon"), target.rpartition(".")[2]
    parts = urlsplit(path)
    if parts.path.startswith("/iceberg"):
        return "catalog", method
    multipart = "uploads" in parts.query or "uploadId" in parts.query
    return "s3", f"{method} multipart" if multipart else method


class RequestCounter:
    """Counts the HTTP requests of this process from now on, whichever library sends them.

    It listens to the interpreter's audit event ``http.client.send`` (Python documentation, "Audit events table"), so
    the measured code needs no change. An audit hook cannot be removed.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        sys.addaudithook(self._on_event)

    def take(self) -> dict[str, int]:
        """Return the number of requests since the last call, by ``service action``."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        # The event reports heads and bodies alike, and a body need not be bytes.
        if event == "http.client.send" and isinstance(arguments[1], bytes) and _REQUEST_LINE.match(arguments[1]):
            self._counts[name_of_request(arguments[1])] += 1


def name_of_request(content: bytes) -> str:
    """Return ``service action`` of a request as it goes over the wire. Its body may follow in the same chunk."""
    first_line, headers = parse_head(content.partition(_HEAD_END)[0])
    method, path, _ = first_line.split(" ", 2)
    return " ".join(service_and_action(method, path, headers))


def parse_head(content: bytes) -> tuple[str, dict[str, str]]:
    """Return the first line and the headers of a request or an answer, with the names in lower case."""
    first_line, *lines = content.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first_line, {name.strip().lower(): value.strip() for name, _, value in pairs}
