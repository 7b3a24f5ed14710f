"""Error messages of make when a program is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from carousel_sync.project import PROJECT_ROOT


def make_install(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the recipe in a folder of its own, with a fake uv that only reports its arguments."""
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy(PROJECT_ROOT / name, folder)
    (folder / ".venv").mkdir()
    uv = folder / "uv"
    uv.write_text('#!/bin/sh\necho called "$@"\n')
    uv.chmod(0o755)
    command = ["make", "--no-print-directory", "install", f"PYTHON={python}", f"UV={uv}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_missing_python_is_reported_even_if_uv_is_installed(tmp_path: Path) -> None:
    result = make_install(tmp_path, python="")
    assert result.returncode != 0
    assert "Python 3.11 or later was not found" in result.stderr
    assert "called" not in result.stdout


def test_uv_installs_with_the_python_that_was_found(tmp_path: Path) -> None:
    result = make_install(tmp_path, python="/usr/bin/python3")
    assert result.returncode == 0, result.stderr
    assert "called sync --frozen --compile-bytecode --python /usr/bin/python3" in result.stdout
