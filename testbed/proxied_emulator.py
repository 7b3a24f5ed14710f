"""An emulator behind a proxy that adds a fixed time to each request and records it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import requests

from carousel_sync.project import PROJECT_ROOT
from testbed.emulator import CLIENT_ENVIRONMENT, emulator
from testbed.latency_proxy import DYNAMODB_OPTION, RecordedRequest
from testbed.server_process import free_port, running
from testbed.stores import REQUEST_SECONDS, Stores, create_stores


@dataclass(frozen=True)
class ProxiedEmulator:
    """The addresses of an emulator and of the proxy in front of it.

    With ``dynamodb_in_memory``, the proxy answers DynamoDB's requests itself.
    """

    server: str
    proxy: str
    dynamodb_in_memory: bool = False

    def create_stores(self) -> Stores:
        """Create empty stores."""
        return create_stores(self.proxy if self.dynamodb_in_memory else self.server)

    def delay(self, milliseconds: float, commit_milliseconds: float | None = None) -> None:
        """Add this time to each request from now on, and discard the requests recorded so far.

        A commit takes ``commit_milliseconds`` instead, if given: half of it before it takes effect, half of it after.
        """
        delays = [milliseconds] if commit_milliseconds is None else [milliseconds, commit_milliseconds]
        requests.put(f"{self.proxy}/_proxy/delay", data=" ".join(map(str, delays)), timeout=REQUEST_SECONDS)

    def requests(self) -> list[RecordedRequest]:
        """Return the requests since the delay was set."""
        answer = requests.get(f"{self.proxy}/_proxy/requests", timeout=REQUEST_SECONDS)
        return [RecordedRequest(**fields | {"body": fields["body"].encode("latin-1")}) for fields in answer.json()]

    def counts(self) -> Counter[str]:
        """Return the number of requests since the delay was set, by service and action."""
        return Counter(requests.get(f"{self.proxy}/_proxy/counts", timeout=REQUEST_SECONDS).json())


@contextmanager
def proxied_emulator(folder: Path) -> Iterator[ProxiedEmulator]:
    """Run an emulator and the proxy. ``folder`` receives their logs; nothing else is left behind.

    Sets the AWS variables of this process's environment.
    """
    os.environ.update(CLIENT_ENVIRONMENT)
    with emulator(folder) as server, latency_proxy(folder, server.port) as proxy:
        yield ProxiedEmulator(server.url, proxy)


@contextmanager
def latency_proxy(folder: Path, server_port: int, *, dynamodb_in_memory: bool = False) -> Iterator[str]:
    """Run the proxy in front of a port of this machine, and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "testbed.latency_proxy", str(port), str(server_port)]
    if dynamodb_in_memory:
        command.append(DYNAMODB_OPTION)
    environment = {"PYTHONPATH": str(PROJECT_ROOT)}
    path = "/_proxy/ready"
    with running("proxy", command, port=port, folder=folder, environment=environment, ready_path=path) as process:
        yield process.url


def counted(recorded: Sequence[RecordedRequest]) -> Counter[str]:
    """Count requests by service and action."""
    return Counter(request.name for request in recorded)


def max_concurrent(recorded: Sequence[RecordedRequest]) -> int:
    """Return the highest number of requests that were in progress at the same time."""
    steps = sorted([(request.arrived, 1) for request in recorded] + [(request.answered, -1) for request in recorded])
    return max(accumulate(step for _, step in steps))
