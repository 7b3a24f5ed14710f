"""Checks of output files before the work whose results they are to hold."""

from __future__ import annotations

import os
from pathlib import Path

from lambda_fn.errors import ConfigurationError


def require_writable(path: Path, *, new: bool = False) -> None:
    """Raise ConfigurationError if a file can't be written at this path. Creates nothing.

    With ``new``, the file must not exist yet. Devices such as /dev/null and /dev/stdout are writable.
    """
    problem = _problem(path, new)
    if problem:
        raise ConfigurationError(f"{path} can't be written: {problem}. Nothing was done. Choose another file.")


def _problem(path: Path, new: bool) -> str:
    try:
        if path.is_dir():
            return "it is a folder"
        if path.exists():
            return "it exists already" if new else "" if os.access(path, os.W_OK) else "it is write-protected"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}"
        return "" if os.access(path.parent, os.W_OK) else f"the folder {path.parent} is write-protected"
    except OSError as error:
        return str(error.strerror)
