"""versitygw, an S3 server that keeps objects as files. Unlike the emulator, it verifies signatures.

``python -m tests.engines.versitygw fetch`` builds it into .cache/engines, from its Go module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testbed.server_process import HOST, ServerProcess, free_port, running
from tests.engines.java_engine import CACHE, EngineUnavailable, locked
from tests.engines.tools import tool

FETCH_COMMAND: Final = "python -m tests.engines.versitygw fetch"

_NAME: Final = "versitygw"
_VERSION: Final = "v1.8.0"
_MODULE: Final = f"github.com/versity/versitygw/cmd/{_NAME}@{_VERSION}"
_BUILD_TIMEOUT_SECONDS: Final = 1_800
_READY_PATH: Final = "/health"


def fetch(cache: Path = CACHE) -> Path:
    """Return the program. Builds it unless this version has been built. Raises EngineUnavailable.

    Two processes may call this at once: one builds, the other waits. An interrupted build starts over the next time.
    """
    home = cache / f"{_NAME}-{_VERSION}"
    program = home / _NAME
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{_NAME}.lock"):
        if not program.exists():
            built = home / "build"
            shutil.rmtree(built, ignore_errors=True)
            _build(built)
            (built / _NAME).rename(program)
            built.rmdir()
    return program


@contextmanager
def versitygw(folder: Path, *, access_key: str, secret_key: str, region: str) -> Iterator[ServerProcess]:
    """Run the server without buckets. ``folder`` receives its log, its objects, and their metadata."""
    port = free_port()
    objects, metadata = folder / "objects", folder / "metadata"
    objects.mkdir()
    metadata.mkdir()
    command = [
        *(str(fetch()), "--port", f"{HOST}:{port}", "--region", region, "--health", _READY_PATH),
        # In files of their own: not every file system has the extended attributes that it would use.
        *("posix", "--sidecar", str(metadata), str(objects)),
    ]
    keys = {"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}
    with running(_NAME, command, port=port, folder=folder, environment=keys, ready_path=_READY_PATH) as server:
        yield server


def _build(folder: Path) -> None:
    environment = {
        **os.environ,
        "GOBIN": str(folder),
        "GOTOOLCHAIN": "local",  # This Go, and no other that it would download.
        "CGO_ENABLED": "0",  # Without a C compiler.
    }
    command = [tool("go", "bin/go"), "install", _MODULE]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BUILD_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineUnavailable(
            f"Go did not build {_NAME} within {_BUILD_TIMEOUT_SECONDS} s. Try again: {FETCH_COMMAND}"
        ) from error
    if done.returncode != 0:
        raise EngineUnavailable(f"Go could not build {_NAME}. Try again: {FETCH_COMMAND}\n{done.stderr[-4_000:]}")


def main(arguments: list[str]) -> int:
    """Build the server and print its path."""
    if arguments != ["fetch"]:
        print(f"Usage: {FETCH_COMMAND}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        print(f"{_NAME}: {fetch()}")  # noqa: T201
    except EngineUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
