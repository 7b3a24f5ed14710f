"""What is remembered of a running embedded stack, so that another command finds it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from carousel_sync.project import PROJECT_ROOT
from lambda_fn.errors import ConfigurationError

STATE_DIR_VARIABLE: Final = "CAROUSEL_STATE_DIR"
REGION: Final = "eu-west-1"
# The emulator takes any key pair; a twelve-digit key would be read as an account number.
ACCESS_KEY_ID: Final = "test"
SECRET_ACCESS_KEY: Final = "test"  # noqa: S105
_FILE: Final = "stack.json"


@dataclass(frozen=True)
class StackState:
    """A stack that was brought up. ``pid`` is also the emulator's process group.

    ``token`` is what the emulator answers to a health check, so that no other one on that port passes for it.
    """

    pid: int
    port: int
    token: str
    stage: str
    region: str = REGION
    delivery_mode: str = "queue"
    deployed_digest: str | None = None
    """Of template, code and parameters, once they are deployed."""

    @property
    def endpoint_url(self) -> str:
        """Where every AWS service of the stack answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> dict[str, str]:
        """The dummy credentials, as environment variables."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}


def state_directory(explicit: Path | None = None) -> Path:
    """Return where the stack's state lives: the given folder, $CAROUSEL_STATE_DIR, or .local in the project."""
    if explicit is not None:
        return explicit.resolve()
    return Path(os.environ.get(STATE_DIR_VARIABLE) or PROJECT_ROOT / ".local").resolve()


def load(directory: Path) -> StackState | None:
    """Read the state, or None when no stack was brought up.

    Raises ConfigurationError when the file is there and can't be understood; it is left as it is.
    """
    path = directory / _FILE
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
        return StackState(**fields)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"The embedded stack's state file {path} can't be read ({error}). If no emulator is running any more "
            f"(ps aux | grep ministack), remove that file, then run: carousel-sync local up"
        ) from error


def save(directory: Path, state: StackState) -> None:
    """Write the state in one step: a reader sees the old file or the new one."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"{_FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(state), indent=2) + "\n")
    temporary.replace(directory / _FILE)


def remove(directory: Path) -> None:
    """Forget the stack."""
    (directory / _FILE).unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; a zombie that nobody has waited for does not."""
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
