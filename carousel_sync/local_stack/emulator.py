"""The emulator's process: start it detached on a free port, ask it how it is, and stop it with all its workers."""

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
from collections.abc import Callable
from pathlib import Path
from typing import Final

from carousel_sync.local_stack.state import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, is_alive
from lambda_fn.errors import ConfigurationError

USUAL_PORT: Final = 4566
LOG_FILE: Final = "emulator.log"
_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 60.0
_FOLDERS: Final = ("tmp", "s3", "persisted")
_TERMINATION_SECONDS: Final = ((signal.SIGTERM, 1.0), (signal.SIGKILL, 10.0))
_POLL_SECONDS: Final = 0.05
_LOG_TAIL_LINES: Final = 15
# An allow-list: a proxy, a profile, PYTHONWARNINGS or PYTHONPATH of this shell must not reach the deployed function.
_INHERITED: Final = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
)
# Only the emulator on this machine is asked, whatever proxy the shell names.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PortTaken(Exception):
    """The emulator could not have the port: somebody took it since it was seen to be free."""


def require_installed() -> None:
    """Raise ConfigurationError, with the command that installs it, when the emulator is not in this environment."""
    for module in ("ministack", "samtranslator"):
        if importlib.util.find_spec(module) is None:
            raise ConfigurationError(
                f"The embedded stack needs the Python package {module!r}, which {sys.executable} does not have. "
                "Install it: make install"
            )


def choose_port(port: int | None) -> int:
    """Return the port if one is asked for; otherwise the usual one, or any free one when that is taken.

    Raises ConfigurationError when a port that was asked for is taken.
    """
    if port is not None and not _is_free(port):
        raise ConfigurationError(
            f"Port {port} is taken. Nothing was started. Leave --port out to have a free one chosen."
        )
    if port is not None:
        return port
    if _is_free(USUAL_PORT):
        return USUAL_PORT
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def start(directory: Path, port: int, token: str, *, enforce_rights: bool = False) -> int:
    """Start the emulator in its own session and return its process id at once.

    Everything that it writes is below ``directory``. The caller waits with :func:`wait_until_healthy`. With
    ``enforce_rights`` it checks signatures and IAM policies of everybody but the stack's own key pair; the function
    then runs as its role.
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
        # Its health check repeats this text.
        "MINISTACK_EDITION": token,
        "TMPDIR": str(folders["tmp"]),
        "S3_DATA_DIR": str(folders["s3"]),
        "STATE_DIR": str(folders["persisted"]),
        "PYTHONUNBUFFERED": "1",
        "AUTH": "true" if enforce_rights else "false",
    }
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # posix_spawn and not subprocess: the process outlives this one on purpose, and nobody holds an object for it.
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
    """Wait until the emulator answers.

    Raises PortTaken when it stopped because of its port, and ConfigurationError, with the end of its log, when it
    stopped for another reason or is not up within a minute. The process, if any, is left to the caller.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if answers(port, token):
            return
        if not is_running(pid):
            log = log_tail(directory)
            if "already in use" in log:
                raise PortTaken(str(port))
            raise ConfigurationError(f"The emulator stopped while starting. The end of {directory / LOG_FILE}:\n{log}")
        time.sleep(_POLL_SECONDS)
    raise ConfigurationError(
        f"The emulator did not answer on port {port} within {_START_SECONDS:.0f} s; it was stopped. The end of "
        f"{directory / LOG_FILE}:\n{log_tail(directory)}"
    )


def answers(port: int, token: str) -> bool:
    """Tell whether this very emulator answers on the port."""
    try:
        with _DIRECT.open(f"http://{_HOST}:{port}/_ministack/health", timeout=2) as response:
            return bool(json.load(response).get("edition") == token)
    except (OSError, ValueError):
        return False


def is_running(pid: int) -> bool:
    """Tell whether the process runs, and collect it when it was this process's child and has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return is_alive(pid)


def is_emulator(pid: int) -> bool:
    """Tell whether the process is an emulator: a process id of last week may be anybody's today."""
    if not is_running(pid):
        return False
    try:
        return b"ministack" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # no /proc, as on macOS: the process id is all there is to go by


def stop(pid: int) -> None:
    """Stop the emulator and its workers, and return when none is left.

    Does nothing when it is not running. Raises ConfigurationError when a process survives, which names the group.
    """
    if not _group_exists(pid) or (is_running(pid) and not is_emulator(pid)):
        return
    for signal_number, seconds in _TERMINATION_SECONDS:
        try:
            os.killpg(pid, signal_number)
        except ProcessLookupError:
            return
        if _wait(lambda: not _group_exists(pid), seconds):
            return
    raise ConfigurationError(f"Processes of the emulator survive. Look: ps -o pid,args -g {pid}; stop: kill -9 -{pid}")


def remove_data(directory: Path) -> None:
    """Delete what a stopped emulator wrote below the directory; its log stays."""
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
    is_running(group)  # a zombie of ours would keep the group alive
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return True


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(_POLL_SECONDS)
    return condition()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without it, a port whose last connections have just been closed would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True
