"""The emulator's process: starting it on a free port, checking its health, and stopping it with its workers."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

from carousel_sync.local_stack.state import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, is_alive
from lambda_fn.errors import ConfigurationError

DEFAULT_PORT: Final = 4566
LOG_FILE: Final = "emulator.log"
_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 60.0
_FOLDERS: Final = ("tmp", "s3", "persisted")
_TERMINATION_SECONDS: Final = ((signal.SIGTERM, 1.0), (signal.SIGKILL, 10.0))
_POLL_SECONDS: Final = 0.05
_LOG_TAIL_LINES: Final = 15
# Nothing else is inherited: the shell's proxy, AWS profile or PYTHONPATH must not reach the deployed function.
_INHERITED: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
# The emulator is on this machine: the shell's proxy does not apply.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PortTaken(Exception):
    """The emulator could not bind its port, because another process has taken it meanwhile."""


def require_installed() -> None:
    """Raise ConfigurationError when the emulator is not installed in this Python environment."""
    for module in ("ministack", "samtranslator"):
        if importlib.util.find_spec(module) is None:
            raise ConfigurationError(
                f"The embedded stack needs the Python package {module!r}, which is not installed for {sys.executable}. "
                "Nothing was started. Install it: make install"
            )


def choose_port(port: int | None) -> int:
    """Return the given port; without one, the default port, or another free one when that is taken.

    Raises ConfigurationError when the given port is taken.
    """
    for candidate in (DEFAULT_PORT, 0) if port is None else (port,):
        with socket.socket() as probe, contextlib.suppress(OSError):
            # Otherwise a port with recently closed connections would seem taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, candidate))
            return int(probe.getsockname()[1])
    raise ConfigurationError(f"Port {port} is taken. Nothing was started. Omit --port to use any free port.")


def start(directory: Path, port: int, token: str, *, enforce_rights: bool = False) -> int:
    """Start the emulator in a session of its own, and return its process id without waiting.

    It writes only below ``directory``. Wait for it with :func:`wait_until_healthy`. With ``enforce_rights`` the
    emulator checks signatures and IAM policies, except for the stack's own key pair, and the function runs as its role.
    """
    folders = {name: directory / name for name in _FOLDERS}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": _HOST,
        "MINISTACK_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        # The health check returns this text.
        "MINISTACK_EDITION": token,
        "TMPDIR": str(folders["tmp"]),
        "S3_DATA_DIR": str(folders["s3"]),
        "STATE_DIR": str(folders["persisted"]),
        "PYTHONUNBUFFERED": "1",
        "AUTH": "true" if enforce_rights else "false",
    }
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # Not subprocess, whose objects warn when their process outlives them, as this one does on purpose.
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "ministack"],
        environment,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(directory / LOG_FILE), log_flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )


def wait_until_healthy(directory: Path, pid: int, port: int, token: str) -> None:
    """Wait until the emulator is healthy.

    Raises PortTaken when it stopped because its port is taken, and ConfigurationError with the end of its log when it
    stopped for another reason or is not healthy in time. The caller has to stop the process.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if is_healthy(port, token):
            return
        if not is_running(pid):
            log = log_tail(directory)
            if "already in use" in log:
                raise PortTaken(str(port))
            raise ConfigurationError(f"The emulator stopped at its start. The end of {directory / LOG_FILE}:\n{log}")
        time.sleep(_POLL_SECONDS)
    raise ConfigurationError(
        f"The emulator did not respond on port {port} within {_START_SECONDS:.0f} s, and was stopped. The end of "
        f"{directory / LOG_FILE}:\n{log_tail(directory)}"
    )


def is_healthy(port: int, token: str) -> bool:
    """Return whether the emulator with this token responds on the port."""
    try:
        with _DIRECT.open(f"http://{_HOST}:{port}/_ministack/health", timeout=2) as response:
            return bool(json.load(response).get("edition") == token)
    except (OSError, ValueError):
        return False


def is_running(pid: int) -> bool:
    """Return whether the process is running, and reap it if it is a child of this process and has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return is_alive(pid)


def is_emulator(pid: int) -> bool:
    """Return whether the process is an emulator. Process ids are reused, so it may be another program by now."""
    if not is_running(pid):
        return False
    try:
        return b"ministack" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # no /proc, as on macOS, so only the process id can be checked


def stop(pid: int) -> None:
    """Stop the emulator and its workers, and wait until all have ended. Does nothing when it is not running.

    Raises ConfigurationError when a process survives.
    """
    if not _group_exists(pid) or (is_running(pid) and not is_emulator(pid)):
        return
    for signal_number, seconds in _TERMINATION_SECONDS:
        try:
            os.killpg(pid, signal_number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _group_exists(pid):
                return
            time.sleep(_POLL_SECONDS)
    raise ConfigurationError(
        f"Processes of the emulator are still running. To list them: ps -o pid,args -g {pid}. To kill them: "
        f"kill -9 -{pid}"
    )


def remove_data(directory: Path) -> None:
    """Delete what a stopped emulator wrote below the directory, except its log."""
    for name in _FOLDERS:
        shutil.rmtree(directory / name, ignore_errors=True)


def log_tail(directory: Path) -> str:
    """Return the last lines of the emulator's log."""
    try:
        lines = (directory / LOG_FILE).read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(lines[-_LOG_TAIL_LINES:])


def _group_exists(group: int) -> bool:
    is_running(group)  # reaps the process: as a zombie it would keep the group alive
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
