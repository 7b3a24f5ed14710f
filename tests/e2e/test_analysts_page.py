"""The commands of docs/analysts.md lead from nothing to the first answer."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from carousel_sync.project import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs/analysts.md").read_text()
PROGRAM = ".venv/bin/carousel-sync "
DRAIN_SECONDS = 240


def commands() -> list[str]:
    """Return the commands of the page's first block, without comments."""
    (block, *_) = re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [line.partition(" #")[0].strip() for line in str(block).splitlines()]


def test_the_first_answer(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment = {**os.environ, STATE_DIR_VARIABLE: str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"}
    program = str(Path(sys.executable).with_name("carousel-sync"))

    def run(arguments: str) -> subprocess.CompletedProcess[str]:
        words = [program, *shlex.split(arguments)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    request.addfinalizer(lambda: run("local down"))
    printed = []
    for command in commands():
        if command.startswith(PROGRAM):
            # The machine may be busy with other tests.
            patience = f" --timeout {DRAIN_SECONDS}" if "--wait" in command else ""
            done = run(command.removeprefix(PROGRAM) + patience)
            assert done.returncode == 0, done.stderr
            printed.append(done.stdout)
        else:
            assert command == "make install"
    (_up, _sent, answer, listed, _down) = printed
    assert "average_price" in answer
    assert "time-to-sell" in listed
