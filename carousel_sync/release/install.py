"""Installs the function's locked dependencies into a folder, for this machine's processor or another one."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Final

from lambda_fn.errors import ConfigurationError

PYTHON_VERSION: Final = "3.13"
"""The function's runtime in template.yaml."""

_TIMEOUT_SECONDS: Final = 600
# Amazon Linux 2023, on which python3.12 and later run, has glibc 2.34; pyarrow's wheels need 2.28.
_WHEELS: Final = "manylinux_2_28"


class Platform(StrEnum):
    """The processor of an artefact. The operating system is always Linux."""

    ARM64 = "arm64"
    HOST = "host"

    @property
    def uv_name(self) -> str:
        """The name that uv has for it. Raises ConfigurationError if Lambda does not support this processor."""
        machine = "aarch64" if self is Platform.ARM64 else platform.machine().replace("arm64", "aarch64")
        if machine not in ("aarch64", "x86_64"):
            raise ConfigurationError(
                f"Lambda does not support this machine's processor, {machine}. Nothing was built. Use --platform arm64."
            )
        return f"{machine}-{_WHEELS}"


def install_dependencies(root: Path, target: Path, wanted: Platform) -> None:
    """Install the function's dependencies from ``uv.lock`` below ``root`` into ``target``, verified by their hashes.

    Only wheels are installed, so nothing is compiled and no code of a package runs. Leaves a list of the requirements
    beside ``target``. Raises ConfigurationError, and may leave ``target`` incomplete.
    """
    uv = find_uv(root)
    locked = run(
        [
            *(*uv, "export", "--project", str(root), "--frozen", "--quiet", "--no-header"),
            *("--no-default-groups", "--no-emit-project", "--format", "requirements.txt"),
        ]
    )
    requirements = target.parent / f"{target.name}-requirements.txt"
    requirements.write_text(locked)
    run(
        [
            *(*uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target)),
            *("--python-platform", wanted.uv_name, "--python-version", PYTHON_VERSION),
            *("--only-binary", ":all:", "--require-hashes", "--no-deps"),
            # The files are changed later; a link would change uv's cache as well.
            *("--link-mode", "copy", "--no-compile-bytecode"),
            *("--requirements", str(requirements)),
        ]
    )


def find_uv(root: Path) -> list[str]:
    """Return the command that runs uv. Raises ConfigurationError if uv is not installed."""
    in_checkout = root / ".tools" / "uv" / "bin" / "uv"
    for candidate in (os.environ.get("UV"), shutil.which("uv"), str(in_checkout)):
        if candidate and os.access(candidate, os.X_OK):
            return [candidate]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    raise ConfigurationError(
        "uv was not found in the environment variable UV, in PATH or in .tools. Nothing was built. Install it: make "
        "install"
    )


def find_python(root: Path) -> str:
    """Return an interpreter of the function's Python version, to compile bytecode or run an artefact with.

    It may be this process's own, or one from PATH, pyenv or uv. Nothing is installed. Raises ConfigurationError.
    """
    if platform.python_version().startswith(f"{PYTHON_VERSION}."):
        return sys.executable
    uv = find_uv(root)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        shutil.which(f"python{PYTHON_VERSION}"),
        *sorted(str(path) for path in pyenv.glob(f"{PYTHON_VERSION}*/bin/python{PYTHON_VERSION}")),
        # Only the interpreters that uv installed: uv's own search of PATH gives up at a pyenv shim that fails.
        _output([*uv, "python", "find", "--managed-python", "--no-python-downloads", PYTHON_VERSION]),
    ]
    for candidate in filter(None, candidates):
        version = _output([candidate, "-c", "import platform; print(platform.python_version())"])
        if version.startswith(f"{PYTHON_VERSION}."):
            return candidate
    raise ConfigurationError(
        f"Python {PYTHON_VERSION}, the function's version, was not found in PATH, in {pyenv} or by uv. Nothing was "
        f"built. Install it: {' '.join(uv)} python install {PYTHON_VERSION}"
    )


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a program and return its standard output. Raises ConfigurationError with its output if it fails."""
    try:
        done = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{error}. Nothing was built.") from error
    if done.returncode != 0:
        output = f"{done.stdout}\n{done.stderr}".strip()[-2_000:]
        raise ConfigurationError(f"{' '.join(command[:4])} ... failed, and nothing was built:\n{output}")
    return done.stdout


def _output(command: list[str]) -> str:
    """Return what a program prints, or nothing if it fails: a pyenv shim exists also for a version that is disabled."""
    try:
        return run(command).strip()
    except ConfigurationError:
        return ""
