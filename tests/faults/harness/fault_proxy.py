"""An HTTP proxy on this machine that numbers the requests of an invocation and fails those that a policy selects.

It stands in front of the emulator, which serves every AWS service at one address. The code under test is not patched:
its clients receive the proxy's address as AWS_ENDPOINT_URL, and the faults happen on a real connection.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from carousel_sync.bench.request_counter import service_and_action
from testbed.latency_proxy import HOP_BY_HOP_HEADERS
from tests.faults.harness.refusals import refusal

# A client in a test gives up within a second. After this time it certainly will not.
_GIVES_UP_SECONDS: Final = 60.0
_FORWARD_SECONDS: Final = 60.0


class Service(StrEnum):
    """The service that a request addresses."""

    CATALOG = "catalog"
    DYNAMODB = "dynamodb"
    S3 = "s3"
    SQS = "sqs"


@dataclass(frozen=True)
class Request:
    """A request as it arrived. ``number`` counts from 0 since :meth:`FaultProxy.begin`."""

    number: int
    service: Service
    action: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Timing(Enum):
    """When the request reaches the server."""

    NEVER = "never"
    AT_ONCE = "at once"
    AFTER_THE_TIMEOUT = "after the client's time-out"
    WHEN_RELEASED = "when released, after the client's time-out"


class Reply(Enum):
    """What the client receives."""

    THE_ANSWER = "the server's answer"
    NOTHING = "the connection closed"
    RESET = "the connection reset"
    HALF = "half of the body, then the connection closed"
    GARBLED = "half of the body as if it were all of it"
    REFUSAL = "a refusal"


@dataclass(frozen=True)
class Fault:
    """What happens to one request. ``status`` is that of a refusal; 0 means the service's throttling error.

    ``before`` runs when the request has arrived, ``after`` when it has taken effect but is not answered yet. The client
    waits meanwhile, like a process that gets no CPU time.
    """

    name: str
    forwarded: Timing = Timing.AT_ONCE
    reply: Reply = Reply.THE_ANSWER
    status: int = 0
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None

    @property
    def is_late(self) -> bool:
        """Whether the request reaches the server after the client has given up."""
        return self.forwarded in (Timing.AFTER_THE_TIMEOUT, Timing.WHEN_RELEASED)


PASS: Final = Fault("none")

Policy = Callable[[int, Request], Fault]


def no_fault(_number: int, _request: Request) -> Fault:
    """Let every request pass."""
    return PASS


def at(number: int, fault: Fault) -> Policy:
    """Return the policy that fails one request of an invocation."""
    return lambda current, _: fault if current == number else PASS


class Invocation:
    """The requests since :meth:`FaultProxy.begin`, and the faults injected into them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.requests: list[Request] = []
        self.injected: list[tuple[Request, Fault]] = []
        self.released = threading.Event()
        self._changed = threading.Condition()
        self._late = 0

    def add(self, request: Request) -> Fault:
        """Add a request, and return what happens to it."""
        with self._changed:
            self.requests.append(request)
            fault = self.policy(request.number, request)
            if fault is not PASS:
                self.injected.append((request, fault))
            if fault.is_late:
                self._late += 1
            return fault

    def end_late_request(self) -> None:
        """Record that the server has answered a late request."""
        with self._changed:
            self._late -= 1
            self._changed.notify_all()

    def settle(self) -> None:
        """Release the held requests, and wait until the server has answered every late one."""
        self.released.set()
        with self._changed:
            if not self._changed.wait_for(lambda: self._late == 0, _FORWARD_SECONDS):
                raise TimeoutError(f"{self._late} late requests were never answered.")


class FaultProxy:
    """The proxy. It listens on a free port while it is open as a context, and accepts any number of connections."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._server_address = (parts.hostname or "", parts.port or 80)
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.proxy = self
        self._invocation = Invocation(no_fault)
        self._numbering = threading.Lock()
        self._here = threading.local()

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def begin(self, policy: Policy = no_fault) -> Invocation:
        """Number requests from 0 again, under a new policy. Held requests stay held."""
        with self._numbering:
            self._invocation = Invocation(policy)
            return self._invocation

    def __enter__(self) -> FaultProxy:
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._invocation.released.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    # --- for the handler ---------------------------------------------------------------------------------------------

    def accept(self, handler: _Handler, body: bytes) -> tuple[Request, Fault, Invocation]:
        """Number a request, and return what happens to it."""
        service, action = _service_and_action(handler.headers, handler.command, handler.path)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in HOP_BY_HOP_HEADERS}
        with self._numbering:
            invocation = self._invocation
            number = len(invocation.requests)
            request = Request(number, service, action, handler.command, handler.path, headers, body)
            return request, invocation.add(request), invocation

    def forward(self, request: Request) -> Answer:
        """Send a request to the server, over this thread's connection."""
        for fresh in (False, True):
            connection = self._connection(fresh)
            try:
                connection.request(request.method, request.path, request.body, dict(request.headers))
                answer = connection.getresponse()
                return Answer(answer.status, dict(answer.getheaders()), answer.read())
            except (ConnectionError, HTTPException):
                # The server may have closed an idle connection. On a fresh one this is a failure of the server.
                connection.close()
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def close_connection(self) -> None:
        """Close this thread's connection to the server."""
        connection = getattr(self._here, "connection", None)
        if connection is not None:
            connection.close()

    def _connection(self, fresh: bool) -> HTTPConnection:
        kept: HTTPConnection | None = getattr(self._here, "connection", None)
        if kept is None or fresh:
            kept = HTTPConnection(*self._server_address, timeout=_FORWARD_SECONDS)
            self._here.connection = kept
        return kept


def _service_and_action(headers: Any, method: str, path: str) -> tuple[Service, str]:
    service, action = service_and_action(method, path, {name.lower(): value for name, value in headers.items()})
    if service == Service.CATALOG:
        action = f"{method} {urlsplit(path).path.rpartition('/')[2]}"
    elif service == Service.S3:
        action = f"{method} {urlsplit(path).path.rpartition('.')[2]}"
    return Service(service), action


class _Listener(ThreadingHTTPServer):
    proxy: FaultProxy
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that give up: tests make them do so."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client. The base class answers ``Expect: 100-continue`` before the body is read."""

    protocol_version = "HTTP/1.1"
    server: _Listener
    # Otherwise, a small answer would wait for the client's acknowledgement of its header.
    disable_nagle_algorithm = True
    wbufsize = -1

    def finish(self) -> None:
        self.server.proxy.close_connection()
        super().finish()

    def handle_expect_100(self) -> bool:
        answered = super().handle_expect_100()
        self.wfile.flush()
        return answered

    def do_GET(self) -> None:
        proxy = self.server.proxy
        body = self._body()
        request, fault, invocation = proxy.accept(self, body)
        if fault.before is not None:
            fault.before()
        answer = self._forwarded(request, fault, invocation)
        if fault.after is not None:
            fault.after()
        self._reply(request, fault, answer)

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 (the base class's names)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Log nothing: tests read the proxy's list of requests."""

    def _forwarded(self, request: Request, fault: Fault, invocation: Invocation) -> Answer | None:
        proxy = self.server.proxy
        if fault.forwarded is Timing.NEVER:
            return None
        if fault.forwarded is Timing.AT_ONCE:
            return proxy.forward(request)
        try:
            self._wait_for_the_client_to_give_up()
            if fault.forwarded is Timing.WHEN_RELEASED:
                invocation.released.wait()
            proxy.forward(request)
        finally:
            invocation.end_late_request()
        return None

    def _reply(self, request: Request, fault: Fault, answer: Answer | None) -> None:
        if fault.reply is Reply.REFUSAL:
            status, headers, content = refusal(request.service, request.action, fault.status)
            self._send(Answer(status, headers, content), content)
        elif fault.reply is Reply.RESET:
            self._reset()
        elif answer is None or fault.reply is Reply.NOTHING:
            self.close_connection = True
        elif fault.reply is Reply.HALF:
            self._send(answer, answer.body[: len(answer.body) // 2])
            self.close_connection = True
        elif fault.reply is Reply.GARBLED:
            half = answer.body[: len(answer.body) // 2]
            self._send(Answer(answer.status, answer.headers, half), half)
        else:
            self._send(answer, answer.body)

    def _send(self, answer: Answer, content: bytes) -> None:
        """Send the header, which announces the whole body, and this content of the body."""
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP_HEADERS:
                self.send_header(name, value)
        # The answer to HEAD has the size of what it leaves out.
        named = {name.lower(): value for name, value in answer.headers.items()}
        length = named.get("content-length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close with RST instead of FIN: nothing is sent, and unread data is discarded."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _wait_for_the_client_to_give_up(self) -> None:
        poller = select.poll()
        poller.register(self.connection, select.POLLIN | select.POLLHUP)
        if not poller.poll(_GIVES_UP_SECONDS * 1000):
            raise TimeoutError("The client waits for its answer without a time-out.")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunked_body()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunked_body(self) -> bytes:
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)
