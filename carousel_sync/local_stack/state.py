"""The state file of a running embedded stack, through which other commands reach it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import boto3

from carousel_sync.aws.target import Target
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.errors import ConfigurationError

STATE_DIR_VARIABLE: Final = "CAROUSEL_STATE_DIR"
REGION: Final = "eu-west-1"
# The emulator accepts any key pair, but takes a twelve-digit access key for an account number.
ACCESS_KEY_ID: Final = "test"
SECRET_ACCESS_KEY: Final = "test"  # noqa: S105
_FILE: Final = "stack.json"


@dataclass(frozen=True)
class StackState:
    """A stack that was started. ``pid`` is the emulator's process and process group.

    The emulator repeats ``token`` in its health check, so that another one on the same port is not mistaken for it.
    ``deployed_digest`` is the fingerprint of the deployed template, code and parameters; None: not deployed yet.
    """

    pid: int
    port: int
    token: str
    stage: str
    region: str = REGION
    delivery_mode: str = "queue"
    deployed_digest: str | None = None

    @property
    def endpoint_url(self) -> str:
        """The endpoint of all AWS services of the stack."""
        return f"http://127.0.0.1:{self.port}"

    def target(self) -> Target:
        """Return the stack, which must be running, as a target for commands. Opens no connection."""
        return Target(
            stage=self.stage,
            region=self.region,
            session=boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=self.region),
            endpoint_url=self.endpoint_url,
            credentials={"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY},
        )


def state_directory(explicit: Path | None = None) -> Path:
    """Return the folder of the stack's state: the given one, else $CAROUSEL_STATE_DIR, else .local in the project."""
    if explicit is not None:
        return explicit.resolve()
    return Path(os.environ.get(STATE_DIR_VARIABLE) or PROJECT_ROOT / ".local").resolve()


def load(directory: Path) -> StackState | None:
    """Read the state file. Returns None when it does not exist.

    Raises ConfigurationError when the file is not a valid state file; it is not changed.
    """
    path = directory / _FILE
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
        return StackState(**fields)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"The embedded stack's state file {path} is not valid ({error}). Nothing was changed. If no emulator is "
            "running (ps aux | grep ministack), delete the file, and run: carousel-sync local up"
        ) from error


def save(directory: Path, state: StackState) -> None:
    """Replace the state file atomically."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"{_FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(state), indent=2) + "\n")
    temporary.replace(directory / _FILE)


def remove(directory: Path) -> None:
    """Delete the state file."""
    (directory / _FILE).unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Return whether the process is running. A zombie is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] != "Z"


def running_target(stage: str, state_dir: Path | None = None) -> Target:
    """Return the embedded stack whose state is in ``state_dir`` (default: see ``state_directory``) as a target.

    Opens no connection. Raises ConfigurationError when the stack is not running, or runs another stage.
    """
    directory = state_directory(state_dir)
    running = load(directory)
    if running is None or not is_alive(running.pid):
        raise not_running(directory, f"carousel-sync local up --stage {stage}")
    if running.stage != stage:
        raise ConfigurationError(
            f"The embedded stack runs stage {running.stage!r}, not {stage!r}. Nothing was changed. Use "
            f"--stage {running.stage}, or replace the stack, which deletes its data: carousel-sync local down, then "
            f"carousel-sync local up --stage {stage}"
        )
    return running.target()


def not_running(directory: Path, start_command: str) -> ConfigurationError:
    """Return the error to raise when no stack runs from this state folder."""
    return ConfigurationError(
        f"The embedded stack is not running (its state folder is {directory}). Start it: {start_command}"
    )
