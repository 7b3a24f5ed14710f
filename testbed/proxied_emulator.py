"""An emulator behind a proxy that adds a fixed time to each request and records it."""

from __future__ import annotations

import base64
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from carousel_sync.project import PROJECT_ROOT
from testbed.emulator import CLIENT_ENVIRONMENT, emulator
from testbed.latency_proxy import RecordedRequest
from testbed.server_process import free_port, running
from testbed.stores import REQUEST_SECONDS, Stores, create_stores


@dataclass(frozen=True)
class ProxiedEmulator:
    """The addresses of an emulator and of the proxy in front of it."""

    server: str
    proxy: str

    def create_stores(self) -> Stores:
        """Create empty stores."""
        return create_stores(self.server)

    def delay(self, milliseconds: float) -> None:
        """Add this time to each request from now on, and discard the requests recorded so far."""
        requests.put(f"{self.proxy}/_proxy/delay", data=str(milliseconds), timeout=REQUEST_SECONDS)

    def requests(self) -> list[RecordedRequest]:
        """Return the requests since the delay was set."""
        answer = requests.get(f"{self.proxy}/_proxy/requests", timeout=REQUEST_SECONDS)
        return [RecordedRequest(**fields) for fields in answer.json()]

    @contextmanager
    def recording_bodies(self) -> Iterator[None]:
        """Record the bodies of requests for as long as the context is open."""
        requests.put(f"{self.proxy}/_proxy/recording", data="1", timeout=REQUEST_SECONDS)
        try:
            yield
        finally:
            requests.put(f"{self.proxy}/_proxy/recording", data="0", timeout=REQUEST_SECONDS)


@contextmanager
def proxied_emulator(folder: Path) -> Iterator[ProxiedEmulator]:
    """Run an emulator and the proxy. ``folder`` receives their logs; nothing else is left behind.

    Sets the AWS variables of this process's environment.
    """
    os.environ.update(CLIENT_ENVIRONMENT)
    with emulator(folder) as server, latency_proxy(folder, server.port) as proxy:
        yield ProxiedEmulator(server.url, proxy)


@contextmanager
def latency_proxy(folder: Path, server_port: int) -> Iterator[str]:
    """Run the proxy in front of a port of this machine, and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "testbed.latency_proxy", str(port), str(server_port)]
    environment = {"PYTHONPATH": str(PROJECT_ROOT)}
    with running(
        "proxy", command, port=port, folder=folder, environment=environment, ready_path="/_proxy/ready"
    ) as process:
        yield process.url


def counted(recorded: Sequence[RecordedRequest]) -> Counter[str]:
    """Count requests by service and action."""
    return Counter(f"{request.service} {request.action}" for request in recorded)


def max_concurrent(recorded: Sequence[RecordedRequest]) -> int:
    """Return the highest number of requests that were in progress at the same time."""
    steps = sorted([(request.arrived, 1) for request in recorded] + [(request.answered, -1) for request in recorded])
    current = highest = 0
    for _, step in steps:
        current += step
        highest = max(highest, current)
    return highest


def body_of(request: RecordedRequest) -> bytes:
    """Return the body of a request that was recorded with its body."""
    return base64.b64decode(request.body)
