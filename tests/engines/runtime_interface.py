"""AWS's Lambda runtime interface emulator: an unzipped artefact runs in it as in Lambda.

The emulator's program is part of the wheel of the AWS SAM CLI. The runtime interface client, the core of Lambda's
Python runtime, is built from source. Both are downloaded once, into .cache/engines.

``python -m tests.engines.runtime_interface FOLDER`` prints how long the artefact in that folder takes to start.
"""

from __future__ import annotations

import fcntl
import json
import platform
import re
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from carousel_sync.project import PROJECT_ROOT
from carousel_sync.release.install import PYTHON_VERSION, find_python, find_uv, run
from lambda_fn.errors import ConfigurationError
from testbed.server_process import ServerNotStarted, ServerProcess, free_port, running
from tests.engines.java_engine import EngineUnavailable

INSTALL_COMMAND: Final = "apt-get install -y cmake g++ make autoconf automake libtool"
TIMEOUT_SECONDS: Final = 60
MEMORY_MEGABYTES: Final = 512

_ROOT: Final = PROJECT_ROOT
_CACHE: Final = _ROOT / ".cache" / "engines"
_SAM: Final = "aws-sam-cli==1.170.0"
_CLIENT: Final = "awslambdaric==4.2.2"
_PROGRAMS: Final = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}
_INVOCATIONS: Final = "/2015-03-31/functions/function/invocations"
_NOT_FOUND: Final = 404
_INIT_REPORT: Final = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")


@dataclass(frozen=True)
class RuntimeInterface:
    """The paths of the emulator's program, the client's folder, and the interpreter."""

    program: Path
    client: Path
    python: str


@dataclass(frozen=True)
class RunningFunction:
    """A function in the emulator. It handles one invocation at a time."""

    server: ServerProcess

    def invoke(self, event: object) -> Any:
        """Return the function's answer. If it failed, this is a document with errorType and errorMessage."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.server.url}{_INVOCATIONS}", data=json.dumps(event).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS + 30) as answer:  # noqa: S310
            return json.loads(answer.read())

    def init_milliseconds(self) -> float:
        """Return the duration of the start, from process to handler. It is known after the first invocation."""
        found = _INIT_REPORT.search(self.log())
        assert found, f"No INIT REPORT in the log:\n{self.log()}"
        return float(found[1])

    def log(self) -> str:
        """Return the output of the function and the emulator."""
        return self.server.log.read_text(errors="replace")


def fetch(cache: Path = _CACHE) -> RuntimeInterface:
    """Return the emulator. Downloads it unless these versions have been downloaded. Raises EngineUnavailable.

    Two processes may call this at once: one downloads, the other waits. An interrupted download starts over the next
    time.
    """
    machine = platform.machine()
    if machine not in _PROGRAMS:
        raise EngineUnavailable(f"The runtime interface emulator does not run on this machine's processor ({machine}).")
    home = cache / f"runtime-interface-{_SAM}-{_CLIENT}-{PYTHON_VERSION}".replace("==", "-")
    cache.mkdir(parents=True, exist_ok=True)
    try:
        found = RuntimeInterface(home / "aws-lambda-rie", home / "client", find_python(_ROOT))
        with (cache / "runtime-interface.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / "fetched").exists():
                shutil.rmtree(home, ignore_errors=True)
                _fetch(found, home, _PROGRAMS[machine])
                (home / "fetched").touch()
    except ConfigurationError as error:
        raise EngineUnavailable(
            f"The runtime interface emulator is not available: {error}\nCompiling its client needs: {INSTALL_COMMAND}"
        ) from error
    return found


@contextmanager
def running_function(artefact: Path, environment: Mapping[str, str], folder: Path) -> Iterator[RunningFunction]:
    """Run the handler of an unzipped artefact. It can import the artefact and the client, and nothing else.

    ``folder`` receives the log. Raises EngineUnavailable and ServerNotStarted.
    """
    interface = fetch()
    port = free_port()
    command = [
        *(str(interface.program), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
        # -S disables site, so that no package of the interpreter replaces one that is missing from the artefact.
        *(interface.python, "-S", "-P", "-m", "awslambdaric", "lambda_fn.handler.handler"),
    ]
    variables = {
        **environment,
        "PYTHONPATH": f"{artefact}:{interface.client}",
        "PYTHONDONTWRITEBYTECODE": "1",  # the folder is read-only in Lambda
        "LAMBDA_TASK_ROOT": str(artefact),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT_SECONDS),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MEGABYTES),
    }
    with running(
        "function", command, port=port, folder=folder, environment=variables, ready_path="/", ready_status=_NOT_FOUND
    ) as server:
        yield RunningFunction(server)


def _fetch(wanted: RuntimeInterface, home: Path, program: str) -> None:
    uv = find_uv(_ROOT)
    wheel = home / "sam"
    install = [*uv, "pip", "install", "--quiet", "--python", wanted.python]
    run([*install, "--no-deps", "--only-binary", ":all:", "--target", str(wheel), _SAM])
    shutil.copy(wheel / "samcli" / "local" / "rapid" / program, wanted.program)
    wanted.program.chmod(0o755)
    shutil.rmtree(wheel)
    run([*install, "--target", str(wanted.client), _CLIENT])


def main(arguments: list[str]) -> int:
    """Start an artefact five times and print the duration of each start in milliseconds."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("Usage: python -m tests.engines.runtime_interface FOLDER", file=sys.stderr)  # noqa: T201
        return 2
    try:
        for _ in range(5):
            with (
                tempfile.TemporaryDirectory() as folder,
                running_function(Path(arguments[0]).absolute(), {}, Path(folder)) as function,
            ):
                function.invoke({})
                print(f"{function.init_milliseconds():.0f} ms", flush=True)  # noqa: T201
    except (EngineUnavailable, ServerNotStarted) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
