"""Install the function's locked dependencies into a folder, for a processor that need not be this machine's."""

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
_UV_PLATFORMS: Final = {
    "aarch64": "aarch64-manylinux_2_28",
    "arm64": "aarch64-manylinux_2_28",
    "x86_64": "x86_64-manylinux_2_28",
}


class Platform(StrEnum):
    """The processor that an artefact is for; the system is Linux in any case."""

    ARM64 = "arm64"
    HOST = "host"

    @property
    def uv_name(self) -> str:
        """The platform in uv's words. Raises ConfigurationError when this machine's is not one that Lambda has."""
        machine = "arm64" if self is Platform.ARM64 else platform.machine()
        if machine not in _UV_PLATFORMS:
            raise ConfigurationError(f"There is no Lambda runtime for this machine's processor, {machine}.")
        return _UV_PLATFORMS[machine]


def install_dependencies(root: Path, target: Path, wanted: Platform) -> None:
    """Install what ``uv.lock`` below ``root`` locks for the function, verified by its hashes, into ``target``.

    Only wheels: nothing is compiled, and no code of a package runs. Raises ConfigurationError; ``target`` is then
    incomplete.
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
    try:
        run(
            [
                *(*uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target)),
                *("--python-platform", wanted.uv_name, "--python-version", PYTHON_VERSION),
                *("--only-binary", ":all:", "--require-hashes", "--no-deps"),
                # Files are changed below; links would change uv's cache with them.
                *("--link-mode", "copy", "--no-compile-bytecode"),
                *("--requirements", str(requirements)),
            ]
        )
    finally:
        requirements.unlink()


def find_uv(root: Path) -> list[str]:
    """Return the command that runs uv, from where the Makefile has it. Raises ConfigurationError."""
    in_checkout = root / ".tools" / "uv" / "bin" / "uv"
    for candidate in (os.environ.get("UV"), shutil.which("uv"), str(in_checkout)):
        if candidate and os.access(candidate, os.X_OK):
            return [candidate]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    raise ConfigurationError(
        "uv was not found: not in the environment variable UV, not in PATH, not in .tools. It is installed by: "
        "make install"
    )


def find_python(root: Path) -> str:
    """Return an interpreter of the function's Python version, with which bytecode is compiled and artefacts are run.

    Looked for in this process, in PATH, among the versions of pyenv, and where uv keeps its own; nothing is installed.
    Raises ConfigurationError.
    """
    if platform.python_version().startswith(f"{PYTHON_VERSION}."):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        shutil.which(f"python{PYTHON_VERSION}"),
        *sorted(str(path) for path in pyenv.glob(f"{PYTHON_VERSION}*/bin/python{PYTHON_VERSION}")),
    ]
    uv = find_uv(root)
    candidates += _known_to(uv)
    for candidate in filter(None, candidates):
        if _is_wanted(candidate):
            return candidate
    raise ConfigurationError(
        f"Python {PYTHON_VERSION}, the function's version, was not found: not in PATH, not in {pyenv}, and uv knows "
        f"none. It is installed by: {' '.join(uv)} python install {PYTHON_VERSION}"
    )


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a program and return its standard output. Raises ConfigurationError with its message when it fails."""
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
        raise ConfigurationError(f"{error}. Nothing was changed.") from error
    if done.returncode != 0:
        output = f"{done.stdout}\n{done.stderr}".strip()[-2_000:]
        raise ConfigurationError(f"{' '.join(command[:4])} ... failed, and nothing was changed:\n{output}")
    return done.stdout


def _known_to(uv: list[str]) -> list[str]:
    try:
        # Only uv's own: it gives up at a shim of pyenv's that fails, and what is in PATH has been looked at.
        return [run([*uv, "python", "find", "--managed-python", "--no-python-downloads", PYTHON_VERSION]).strip()]
    except ConfigurationError:
        return []


def _is_wanted(candidate: str) -> bool:
    # A shim of pyenv's answers for versions that are not switched on: with an error.
    try:
        version = run([candidate, "-c", "import platform; print(platform.python_version())"])
    except ConfigurationError:
        return False
    return version.startswith(f"{PYTHON_VERSION}.")
