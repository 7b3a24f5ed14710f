"""A server in its own process group, which ends when the process that started it ends, however that happens."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
_START_TIMEOUT_SECONDS: Final = 60.0
_STOP_TIMEOUT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_LOG_TAIL_CHARACTERS: Final = 4_000

# The shell becomes the server. Its background job reads a pipe that only the starting process holds open. When that
# process ends, even by SIGKILL, the read returns and the job kills the whole group.
_LAUNCHER: Final = 'exec 3<&0; { read -r _ <&3; kill -KILL 0; } & exec "$@" 3<&- </dev/null'


class ServerNotStarted(RuntimeError):
    """A server ended early or did not answer in time. The message includes the end of its log."""


@dataclass(frozen=True)
class ServerProcess:
    """A running server: its process id (also its group id), its port, and the file that receives its output."""

    pid: int
    port: int
    log: Path

    @property
    def url(self) -> str:
        """The base URL of the server."""
        return f"http://{HOST}:{self.port}"


def free_port() -> int:
    """Return a port that no process is given by chance within the next minute.

    The port is left in TIME_WAIT. The kernel does not assign such a port to a process that binds port 0, but a server
    that asks for it by number gets it, because both sides set SO_REUSEADDR.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            accepted.close()  # The side that closes first enters TIME_WAIT.
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    ready_path: str,
    ready_status: int = 200,
    start_seconds: float = _START_TIMEOUT_SECONDS,
) -> Iterator[ServerProcess]:
    """Run a server for as long as the context is open. Entering waits until ``ready_path`` returns ``ready_status``.

    The server sees ``environment`` and this process's PATH, HOME and JAVA_HOME, nothing else. ``folder`` is its
    working directory and holds its log. Raises ServerNotStarted. No process is left behind in any case.
    """
    log = folder / f"{name}.log"
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "JAVA_HOME") if key in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", _LAUNCHER, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**inherited, "TMPDIR": str(folder), **environment},
            start_new_session=True,
        )
    server = ServerProcess(process.pid, port, log)
    try:
        _wait_until_ready(process, server, name, ready_path, ready_status, start_seconds)
        yield server
    finally:
        _stop(process)


def _wait_until_ready(
    process: subprocess.Popen[bytes], server: ServerProcess, name: str, path: str, ready: int, start_seconds: float
) -> None:
    end = time.monotonic() + start_seconds
    while (status := _status(server.port, path)) != ready:
        error = ""
        if process.poll() is not None:
            error = f"{name} ended with exit code {process.returncode}."
        elif time.monotonic() > end:
            answered = "nothing" if status is None else f"HTTP {status}"
            error = f"{name} answered {answered} to GET {path} within {start_seconds:.0f} s, not HTTP {ready}."
        if error:
            text = server.log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:].strip()
            raise ServerNotStarted(f"{error} The end of {server.log}:\n{text or '(empty)'}")
        time.sleep(_POLL_SECONDS)


def _status(port: int, path: str) -> int | None:
    """Return the status of a GET request, or None when there is no answer."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=2)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group: SIGTERM first, then SIGKILL."""
    with process:  # Waits for the end, and closes the pipe.
        try:
            _signal_group(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT_SECONDS)
        finally:
            _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # The group has ended already.
        os.killpg(group, number)
