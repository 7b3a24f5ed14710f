"""Follows docs/schema-evolution.md command by command, in a copy of the project."""

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
CLEANING = COMMANDS.index(".venv/bin/carousel-sync local down")
MIGRATION, FIELD = [block for language, block in BLOCKS if language == "python"]
(EVENT,) = [block for language, block in BLOCKS if language == "json"]
MIGRATION_FILE = "schemas/migrations/0004_sales_channel.py"
FIELDS_FILE = "lambda_fn/fields.py"
EVENT_FILE = "sale.json"
SALES = 60


class Checkout:
    """A copy of the project with its own embedded stack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("lambda_fn", "schemas", "catalog_config", "carousel_sync"):
            shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("template.yaml", "pyproject.toml"):
            shutil.copy(PROJECT_ROOT / name, folder / name)
        (folder / ".gitignore").write_text("__pycache__/\nstate/\n")
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        for command in (("init", "--quiet"), ("add", "."), (*identity, "commit", "--quiet", "--message", "All")):
            subprocess.run(["git", *command], cwd=folder, check=True)
        self._environment = {**os.environ, STATE_DIR_VARIABLE: str(folder / "state"), "PYTHONPATH": str(folder)}

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command of the page with the interpreter of the tests."""
        program, *arguments = shlex.split(command)
        interpreter = {
            ".venv/bin/carousel-sync": [sys.executable, "-c", "from carousel_sync.cli import main; main()"],
            ".venv/bin/python": [sys.executable],
            "git": ["git"],
        }[program]
        return subprocess.Popen(
            [*interpreter, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, exit_code: int = 0) -> str:
        return output_of(self.start(command), exit_code)

    def cli(self, command: str, exit_code: int = 0) -> str:
        return self.run(f".venv/bin/carousel-sync {command}", exit_code)

    def write(self, name: str, text: str) -> None:
        assert f"`{name}`" in PAGE
        (self.folder / name).write_text(text)

    def append_field(self, line: str) -> None:
        declared, rest = (self.folder / FIELDS_FILE).read_text().split("# fmt: on\n", 1)
        self.write(FIELDS_FILE, f"{declared}{line}# fmt: on\n{rest}")

    def wait_for_queue(self) -> None:
        script = (
            "from carousel_sync.aws import buffer_queue; from carousel_sync.command_line import stage\n"
            "target = stage.resolve('dev', True)\n"
            "assert buffer_queue.wait_until_empty(target, buffer_queue.buffer_queue_url(target), 120)"
        )
        subprocess.run([sys.executable, "-c", script], cwd=self.folder, env=self._environment, check=True)


def output_of(process: subprocess.Popen[str], exit_code: int = 0) -> str:
    out, errors = process.communicate()
    assert process.returncode == exit_code, out + errors
    return out


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / "checkout")
    try:
        yield made
    finally:
        made.cli("local down")


def test_a_column_is_added_while_sales_arrive(checkout: Checkout) -> None:
    """Run every command of the page in order, with fewer sales than a person needs to follow it."""
    simulation: subprocess.Popen[str] | None = None
    outputs: dict[str, str] = {}
    for command in COMMANDS[:CLEANING]:
        match command.split()[1:]:
            case ["simulate", *_, "&"]:
                simulation = checkout.start(command.removesuffix(" &").replace("--count 600", f"--count {SALES}"))
                checkout.write(MIGRATION_FILE, MIGRATION)
                status = json.loads(checkout.cli("evolve status --local --json", exit_code=3))
                assert status["table_version"] == 3
            case []:
                assert command == "wait"
                assert simulation is not None
                output_of(simulation)
                checkout.wait_for_queue()
            case ["evolve", step, *_]:
                outputs[step] = checkout.run(command, exit_code=3 if step == "plan" else 0)
                if step == "status":
                    checkout.append_field(FIELD)
            case ["send", *_]:
                checkout.write(EVENT_FILE, EVENT)
                checkout.run(command)
            case _:
                checkout.run(command)
    assert "add the column sales_channel (string, id 26) after brand" in outputs["plan"]
    assert "The table is at version 4" in outputs["apply"]
    assert "up to date" in outputs["status"]
    check = checkout.run(".venv/bin/python -m carousel_sync.contract.released check")
    assert "v3.json has the rules of the code, and accepts all that version 2 accepts" in check
    rows = json.loads(checkout.cli('query --local --json "SELECT * FROM sales_history"'))
    assert len({(row["tenant_id"], row["sale_id"]) for row in rows}) == len(rows) > 1
    channels = {row["sale_id"]: row["sales_channel"] for row in rows}
    assert channels.pop("SALE-CHANNEL") == "shop"
    assert set(channels.values()) == {None}
    assert checkout.run("git status --porcelain").split() != []
    for command in COMMANDS[CLEANING:]:
        checkout.run(command)
    assert checkout.run("git status --porcelain") == ""
    assert json.loads(checkout.cli("local status --json", exit_code=1))["up"] is False
