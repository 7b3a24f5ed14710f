"""An HTTP proxy on this machine that adds a fixed time to each request and records what passes.

It runs as its own process (``python -m testbed.latency_proxy PORT SERVER_PORT``), so that neither its CPU time nor the
server's counts as the client's. With ``--dynamodb`` as a third argument, it answers DynamoDB's requests itself, from
memory: they take a tenth of the server's CPU time. It answers paths below ``/_proxy/`` itself, too:

    GET  /_proxy/ready      200
    PUT  /_proxy/delay      body: the milliseconds to add; discards the requests recorded so far. A second number is
                            what a commit takes instead: half of it passes before the commit and half of it after.
    GET  /_proxy/requests   the requests since the delay was set, as JSON with their bodies in Latin-1
    GET  /_proxy/counts     the number of these requests by service and action, as JSON
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from carousel_sync.bench.request_counter import parse_head, service_and_action
from testbed.dynamodb.service import DynamoDBService

HOST: Final = "127.0.0.1"
CONTROL_PATH: Final = "/_proxy/"
HOP_BY_HOP_HEADERS: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "content-length"})
"""Headers of one connection and not of the message (RFC 9110, section 7.6.1), and those that a proxy sets itself."""
_LIMIT_BYTES: Final = 1 << 26
_HEAD_END: Final = b"\r\n\r\n"
DYNAMODB_OPTION: Final = "--dynamodb"
_DYNAMODB_HEADERS: Final = {"content-type": "application/x-amz-json-1.0"}

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class RecordedRequest:
    """A request that passed the proxy. Times are seconds on the proxy's monotonic clock."""

    service: str
    action: str
    path: str
    arrived: float
    answered: float = 0.0
    body: bytes = b""

    @property
    def name(self) -> str:
        """The service and the action."""
        return f"{self.service} {self.action}"

    @property
    def is_commit(self) -> bool:
        """Whether this is a commit to an Iceberg table."""
        return self.name == "catalog POST" and "/tables/" in self.path


class LatencyProxy:
    """What all connections share: the delays, the recorded requests, and idle connections to the server."""

    def __init__(self, server_port: int, dynamodb: DynamoDBService | None = None) -> None:
        self._server_port = server_port
        self._dynamodb = dynamodb
        self._delay_seconds = 0.0
        self._commit_seconds: float | None = None
        self._recorded: list[RecordedRequest] = []
        self._idle: list[Connection] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it disconnects."""
        try:
            while True:
                first_line, headers = parse_head(await reader.readuntil(_HEAD_END))
                if headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await _read_body(reader, headers)
                writer.write(await self._answer(first_line, headers, body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client has disconnected.
        finally:
            writer.close()

    async def _answer(self, first_line: str, headers: Mapping[str, str], body: bytes) -> bytes:
        method, path, _ = first_line.split(" ", 2)
        if path.startswith(CONTROL_PATH):
            return _message("HTTP/1.1 200 OK", {}, self._control(path.removeprefix(CONTROL_PATH), body))
        request = RecordedRequest(*service_and_action(method, path, headers), path, time.monotonic(), body=body)
        self._recorded.append(request)
        before, after = self._delay_seconds, 0.0
        if request.is_commit and self._commit_seconds is not None:
            before = after = self._commit_seconds / 2
        await _wait(before)
        target = headers.get("x-amz-target", "")
        if self._dynamodb is not None and request.service == "dynamodb":
            status, content = self._dynamodb.answer(target, body)
            answer = _message(f"HTTP/1.1 {status} {status.phrase}", _DYNAMODB_HEADERS, content)
        else:
            answer = await self._forward(method, _message(first_line, headers, body))
        await _wait(after)
        request.answered = time.monotonic()
        return answer

    def _control(self, path: str, body: bytes) -> bytes:
        if path == "delay":
            each, *commit = (float(number) / 1000 for number in body.split())
            self._delay_seconds, self._commit_seconds, self._recorded = each, commit[0] if commit else None, []
        if path == "counts":
            return json.dumps(Counter(request.name for request in self._recorded)).encode()
        if path != "requests":
            return b""
        recorded = [asdict(request) | {"body": request.body.decode("latin-1")} for request in self._recorded]
        return json.dumps(recorded).encode()

    async def _forward(self, method: str, request: bytes) -> bytes:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._exchange(connection, request, method)
            except (ConnectionError, asyncio.IncompleteReadError):
                connection[1].close()  # The server closed the idle connection.
        fresh = await asyncio.open_connection(HOST, self._server_port, limit=_LIMIT_BYTES)
        return await self._exchange(fresh, request, method)

    async def _exchange(self, connection: Connection, request: bytes, method: str) -> bytes:
        reader, writer = connection
        writer.write(request)
        status_line, headers = parse_head(await reader.readuntil(_HEAD_END))
        has_body = method != "HEAD" and status_line.split(" ", 2)[1] not in ("204", "304")
        content = await _read_body(reader, headers) if has_body else b""
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append(connection)
        return _message(status_line, headers, content, headers.get("content-length", "0") if method == "HEAD" else None)


async def _wait(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


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


def _message(first_line: str, headers: Mapping[str, str], body: bytes, length: str | None = None) -> bytes:
    """Return a request or an answer as it goes over the wire, with the length of the body unless one is given."""
    kept = [f"{name}: {value}" for name, value in headers.items() if name not in HOP_BY_HOP_HEADERS]
    return "\r\n".join([first_line, *kept, f"content-length: {length or len(body)}", "", ""]).encode("latin-1") + body


async def _main(port: int, server_port: int, *options: str) -> None:
    proxy = LatencyProxy(server_port, DynamoDBService() if DYNAMODB_OPTION in options else None)
    server = await asyncio.start_server(proxy.serve, HOST, port, limit=_LIMIT_BYTES, backlog=256)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
