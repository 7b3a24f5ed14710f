"""An HTTP proxy on this machine that adds a fixed time to each request and writes down what passes.

A process of its own (``python -m benchmarks.latency_proxy PORT SERVER_PORT``), so that neither its CPU time nor the
server's is mistaken for the client's. Its own answers live under ``/_proxy/``:

    GET  /_proxy/ready      200
    PUT  /_proxy/delay      body: the milliseconds to add; forgets the requests so far
    PUT  /_proxy/recording  body: 1 to keep bodies too, 0 not to
    GET  /_proxy/requests   what has passed since the delay was set, as JSON
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Final

from carousel_sync.bench.wire import addressee

HOST: Final = "127.0.0.1"
OWN: Final = "/_proxy/"
_LIMIT_BYTES: Final = 1 << 26
# Of one connection and not of the message (RFC 9110, section 7.6.1), and what the proxy sets itself.
_OF_THE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "content-length"})

Headers = dict[str, str]


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a request or an answer; the names are lower case."""

    first_line: str
    headers: Headers


@dataclass
class Passed:
    """A request that went through. Times are in seconds on the proxy's monotonic clock."""

    service: str
    action: str
    path: str
    arrived: float
    answered: float = 0.0
    status: int = 0
    body_bytes: int = 0
    body: str = ""
    """Base64, while recording."""
    headers: Headers = field(default_factory=dict)


class LatencyProxy:
    """What all connections share: the delay, the list, and idle connections to the server."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.delay_seconds = 0.0
        self.recording = False
        self.passed: list[Passed] = []
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it goes."""
        try:
            while (head := await read_head(reader)) is not None:
                if head.headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await read_body(reader, head.headers)
                writer.write(await self._answer(head, body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client has gone.
        finally:
            writer.close()

    async def _answer(self, head: Head, body: bytes) -> bytes:
        method, path, _ = head.first_line.split(" ", 2)
        if path.startswith(OWN):
            return self._own_answer(path.removeprefix(OWN), body)
        service, action = addressee(method, path, head.headers)
        passed = Passed(service, action, path, time.monotonic(), body_bytes=len(body))
        if self.recording:
            passed.body = base64.b64encode(body).decode()
            passed.headers = head.headers
        self.passed.append(passed)
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        answer, content = await self._forward(method, head, body)
        passed.answered, passed.status = time.monotonic(), int(answer.first_line.split(" ", 2)[1])
        length = answer.headers.get("content-length", "0") if method == "HEAD" else str(len(content))
        return message(answer.first_line, answer.headers, length, content)

    def _own_answer(self, path: str, body: bytes) -> bytes:
        content = b""
        if path == "delay":
            self.delay_seconds = float(body) / 1000
            self.passed = []
        elif path == "recording":
            self.recording = body == b"1"
        elif path == "requests":
            content = json.dumps([asdict(passed) for passed in self.passed]).encode()
        return message("HTTP/1.1 200 OK", {}, str(len(content)), content)

    async def _forward(self, method: str, head: Head, body: bytes) -> tuple[Head, bytes]:
        request = message(head.first_line, head.headers, str(len(body)), body)
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._exchange(connection, request, method)
            except (ConnectionError, asyncio.IncompleteReadError):
                connection[1].close()  # Kept too long: the server has closed it meanwhile.
        fresh = await asyncio.open_connection(HOST, self.server_port, limit=_LIMIT_BYTES)
        return await self._exchange(fresh, request, method)

    async def _exchange(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes, method: str
    ) -> tuple[Head, bytes]:
        reader, writer = connection
        writer.write(request)
        answer = await read_head(reader)
        if answer is None:
            raise ConnectionResetError
        has_body = method != "HEAD" and answer.first_line.split(" ", 2)[1] not in ("204", "304")
        content = await read_body(reader, answer.headers) if has_body else b""
        if answer.headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append(connection)
        return answer, content


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read up to the empty line; None when the other side has closed the connection."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    pairs = (line.split(":", 1) for line in lines[1:] if line)
    return Head(lines[0], {name.lower(): value.strip() for name, value in pairs})


async def read_body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
    """Read the body, by its length or in chunks."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:size])
    while (await reader.readline()).strip():
        pass  # trailers
    return b"".join(parts)


def message(first_line: str, headers: Headers, length: str, body: bytes) -> bytes:
    """Return a request or an answer as it goes over the wire."""
    kept = [f"{name}: {value}" for name, value in headers.items() if name not in _OF_THE_CONNECTION]
    return "\r\n".join([first_line, *kept, f"content-length: {length}", "", ""]).encode("latin-1") + body


async def main(port: int, server_port: int) -> None:
    """Serve until the process is ended."""
    proxy = LatencyProxy(server_port)
    server = await asyncio.start_server(proxy.serve, HOST, port, limit=_LIMIT_BYTES, backlog=256)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
