"""docs/schema-evolution.md, carried out by someone who types what it says, in a checkout of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from carousel_sync.project import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "schema-evolution.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if not language for line in block.splitlines()]
MIGRATION = "schemas/migrations/0004_sales_channel.py"
SALES = 60


class Checkout:
    """A copy of the project, with a stack of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("lambda_fn", "schemas", "catalog_config", "carousel_sync"):
            shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("template.yaml", "pyproject.toml"):
            shutil.copy(PROJECT_ROOT / name, folder / name)
        self._environment = {**os.environ, STATE_DIR_VARIABLE: str(folder / "state"), "PYTHONPATH": str(folder)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", "from carousel_sync.cli import main; main()"]
        return subprocess.Popen(
            [*program, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        process = self.start(*arguments)
        out, errors = process.communicate()
        assert process.returncode == exit_code, out + errors
        return out


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / "checkout")
    try:
        yield made
    finally:
        made.run("local", "down")


def test_a_column_is_added_while_sales_arrive(checkout: Checkout) -> None:
    """Every command of the page, in its order; fewer sales than a person needs to follow it."""
    sending: list[subprocess.Popen[str]] = []
    done = []
    for command in COMMANDS:
        if command == "wait":
            with sending.pop() as process:
                out, errors = process.communicate()
            assert process.returncode == 0, out + errors
            continue
        program, *arguments = shlex.split(command.replace("--count 600", f"--count {SALES}"))
        assert program == ".venv/bin/carousel-sync"
        if arguments[-1] == "&":
            sending.append(checkout.start(*arguments[:-1]))
            (checkout.folder / MIGRATION).write_text(migration_of_the_page())
            assert json.loads(checkout.run("evolve", "status", "--local", "--json", exit_code=3))["table_version"] == 3
            continue
        if arguments[0] == "verify":
            drained(checkout)
        out = checkout.run(*arguments, exit_code=3 if arguments[:2] == ["evolve", "plan"] else 0)
        done.append((arguments, out))
    plan, apply, status = (out for arguments, out in done if arguments[0] == "evolve")
    assert "add the column sales_channel (string, id 26) after brand" in plan
    assert "The table is at version 4" in apply
    assert "up to date" in status
    rows = json.loads(checkout.run("query", "--local", "--json", "SELECT * FROM sales_history"))
    assert len({(row["tenant_id"], row["sale_id"]) for row in rows}) == len(rows) > 0
    assert all(row["sales_channel"] is None for row in rows)


def drained(checkout: Checkout) -> None:
    script = (
        "from carousel_sync.aws import buffer_queue, target as targets; target = targets.resolve('dev', True)\n"
        "assert buffer_queue.wait_until_empty(target, buffer_queue.buffer_queue_url(target), 120)"
    )
    environment = {**os.environ, STATE_DIR_VARIABLE: str(checkout.folder / "state")}
    subprocess.run([sys.executable, "-c", script], cwd=checkout.folder, env=environment, check=True)


def migration_of_the_page() -> str:
    (script,) = (block for language, block in BLOCKS if language == "python")
    assert f"`{MIGRATION}`" in PAGE
    return str(script)
