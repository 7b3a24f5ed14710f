"""How a command ends early: what it prints, and its exit code."""

from __future__ import annotations

import pytest
import typer

from carousel_sync.command_line.console import EXIT_FAILED, EXIT_INTERRUPTED, readable_errors, reporting
from lambda_fn.errors import ConfigurationError


def test_an_interruption_prints_what_is_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, reporting(lambda: "Two of three are stored."):
        raise KeyboardInterrupt
    assert caught.value.exit_code == EXIT_INTERRUPTED
    assert capsys.readouterr().err == "Interrupted. Two of three are stored.\n"


def test_an_error_is_printed_after_what_is_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, readable_errors(), reporting(lambda: "Two of three are stored."):
        raise ConfigurationError("No third [sale].")
    assert caught.value.code == EXIT_FAILED
    assert capsys.readouterr().err == "Two of three are stored.\nError: No third [sale].\n"


def test_a_defect_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), readable_errors():
        raise ZeroDivisionError
