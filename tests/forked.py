"""Processes that are forked from a server which has imported the libraries, and no module of this project.

An import of all libraries takes most of the time of a short command.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

_LIBRARIES: Final = (
    *("boto3", "rich.progress", "rich.table", "typer"),
    *("pyarrow.parquet", "pyiceberg.catalog.rest", "pyiceberg.io.pyarrow", "pyiceberg.table"),
)


def forkserver() -> ForkServerContext:
    """Return the context whose processes have the libraries. Each test process has one server."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LIBRARIES))
    return context


def run_program(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``carousel-sync`` in a process of its own, with this environment, and return its exit code and output."""
    with tempfile.TemporaryDirectory() as name:
        out, errors = Path(name, "out"), Path(name, "errors")
        process = forkserver().Process(target=_main, args=(list(arguments), dict(environment), out, errors))
        process.start()
        try:
            process.join()
        finally:
            process.kill()  # A test that is stopped leaves no process behind.
        assert process.exitcode is not None
        return subprocess.CompletedProcess(list(arguments), process.exitcode, out.read_text(), errors.read_text())


def _main(arguments: list[str], environment: dict[str, str], out: Path, errors: Path) -> None:
    """Do what the installed program does. This is the main function of its process."""
    os.environ.clear()
    os.environ.update(environment)
    for path, stream in ((out, sys.stdout), (errors, sys.stderr)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["carousel-sync", *arguments]
    import_module("carousel_sync.cli").main()
