"""An HTTP proxy on this machine that adds a fixed time to each request and records what passes.

It runs as its own process (``python -m testbed.latency_proxy PORT SERVER_PORT``), so that neither its CPU time nor the
server's counts as the client's. It answers paths below ``/_proxy/`` itself:

    GET  /_proxy/ready      200
    PUT  /_proxy/delay      body: the milliseconds to add; discards the requests recorded so far
    PUT  /_proxy/recording  body: 1 to record bodies and headers too, 0 not to
    GET  /_proxy/requests   the requests since the delay was set, as JSON
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from carousel_sync.bench.request_counter import service_and_action

HOST: Final = "127.0.0.1"
CONTROL_PATH: Final = "/_proxy/"
HOP_BY_HOP_HEADERS: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "content-length"})
"""Headers of one connection and not of the message (RFC 9110, section 7.6.1), and those that a proxy sets itself."""
_LIMIT_BYTES: Final = 1 << 26

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a request or an answer. Header names are lower case."""

    first_line: str
    headers: Mapping[str, str]


@dataclass
class RecordedRequest:
    """A request that passed the proxy. Times are seconds on the proxy's monotonic clock; ``body`` is Base64."""

    service: str
    action: str
    path: str
    arrived: float
    answered: float = 0.0
    status: int = 0
    body_bytes: int = 0
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class LatencyProxy:
    """What all connections share: the delay, the recorded requests, and idle connections to the server."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._delay_seconds = 0.0
        self._records_bodies = False
        self._recorded: list[RecordedRequest] = []
        self._idle: list[Connection] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it disconnects."""
        try:
            while (head := await _read_head(reader)) is not None:
                if head.headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await _read_body(reader, head.headers)
                writer.write(await self._answer(head, body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client has disconnected.
        finally:
            writer.close()

    async def _answer(self, head: Head, body: bytes) -> bytes:
        method, path, _ = head.first_line.split(" ", 2)
        if path.startswith(CONTROL_PATH):
            return self._control(path.removeprefix(CONTROL_PATH), body)
        service, action = service_and_action(method, path, head.headers)
        request = RecordedRequest(service, action, path, time.monotonic(), body_bytes=len(body))
        if self._records_bodies:
            request.body = base64.b64encode(body).decode()
            request.headers = head.headers
        self._recorded.append(request)
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        answer, content = await self._forward(method, head, body)
        request.answered, request.status = time.monotonic(), int(answer.first_line.split(" ", 2)[1])
        length = answer.headers.get("content-length", "0") if method == "HEAD" else str(len(content))
        return _message(answer.first_line, answer.headers, length, content)

    def _control(self, path: str, body: bytes) -> bytes:
        content = b""
        if path == "delay":
            self._delay_seconds = float(body) / 1000
            self._recorded = []
        elif path == "recording":
            self._records_bodies = body == b"1"
        elif path == "requests":
            content = json.dumps([asdict(request) for request in self._recorded]).encode()
        return _message("HTTP/1.1 200 OK", {}, str(len(content)), content)

    async def _forward(self, method: str, head: Head, body: bytes) -> tuple[Head, bytes]:
        request = _message(head.first_line, head.headers, str(len(body)), body)
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._exchange(connection, request, method)
            except (ConnectionError, asyncio.IncompleteReadError):
                connection[1].close()  # The server closed the idle connection.
        fresh = await asyncio.open_connection(HOST, self._server_port, limit=_LIMIT_BYTES)
        return await self._exchange(fresh, request, method)

    async def _exchange(self, connection: Connection, request: bytes, method: str) -> tuple[Head, bytes]:
        reader, writer = connection
        writer.write(request)
        answer = await _read_head(reader)
        if answer is None:
            raise ConnectionResetError
        has_body = method != "HEAD" and answer.first_line.split(" ", 2)[1] not in ("204", "304")
        content = await _read_body(reader, answer.headers) if has_body else b""
        if answer.headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append(connection)
        return answer, content


async def _read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read up to the empty line. Returns None when the other side has closed the connection."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    pairs = (line.split(":", 1) for line in lines[1:] if line)
    return Head(lines[0], {name.lower(): value.strip() for name, value in pairs})


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read a body that is chunked or has a length."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:size])
    while (await reader.readline()).strip():
        pass  # trailers
    return b"".join(parts)


def _message(first_line: str, headers: Mapping[str, str], length: str, body: bytes) -> bytes:
    """Return a request or an answer as it goes over the wire."""
    kept = [f"{name}: {value}" for name, value in headers.items() if name not in HOP_BY_HOP_HEADERS]
    return "\r\n".join([first_line, *kept, f"content-length: {length}", "", ""]).encode("latin-1") + body


async def _main(port: int, server_port: int) -> None:
    server = await asyncio.start_server(LatencyProxy(server_port).serve, HOST, port, limit=_LIMIT_BYTES, backlog=256)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
