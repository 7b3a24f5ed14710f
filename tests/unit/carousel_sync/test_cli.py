"""The command line as a whole: which commands there are, and that only the one that runs is imported."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from carousel_sync.cli import COMMANDS, app, load

LIBRARIES = ["boto3", "botocore", "duckdb", "pyarrow", "pyiceberg"]


def first_paragraph(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_line_is_the_first_paragraph_of_the_commands_own_help(name: str) -> None:
    assert COMMANDS[name][1] == first_paragraph(load(name).help)


def test_help_lists_every_command_with_its_help_line() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=400, env={"COLUMNS": "400"})
    assert shown.exit_code == 0
    rows = [line.strip("│ ").split(maxsplit=1) for line in shown.stdout.splitlines()]
    listed = {row[0]: row[1].strip() for row in rows if row and row[0] in COMMANDS}
    assert listed == {name: help_line for name, (_, help_line) in COMMANDS.items()}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(name: str, option: str) -> None:
    shown = CliRunner().invoke(app, [name, option])
    assert shown.exit_code == 0
    assert f"carousel-sync {name}" in shown.stdout


def test_a_misspelt_command_is_a_usage_error_with_a_suggestion() -> None:
    refused = CliRunner().invoke(app, ["verifi"])
    assert refused.exit_code == 2
    assert "Did you mean 'verify'?" in refused.output


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_command(option: str) -> None:
    script = f"""
import sys
from carousel_sync.cli import app
try:
    app([{option!r}])
except SystemExit as end:
    assert not end.code
imported = set(sys.modules)
print(sorted(name for name in imported if name.startswith("carousel_sync.")), sorted(imported & {set(LIBRARIES)!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "['carousel_sync.cli'] []", done.stderr
