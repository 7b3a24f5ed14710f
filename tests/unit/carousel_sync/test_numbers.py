"""Every number that a command accepts has bounds, so that none can be infinite, or exhaust the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from carousel_sync.cli import COMMANDS, app, load

BOUNDED_BY_THE_MACHINE = {"--events", "--concurrency"}
"""Options of ``bench local``: tests/unit/carousel_sync/bench/test_limits.py."""


def commands_of(words: list[str], command: Any) -> Iterator[tuple[list[str], Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands_of([*words, name], inner)
    else:
        yield words, command


def numbers() -> list[Any]:
    return [
        pytest.param(words, parameter, id=f"{'-'.join(words)}{parameter.opts[0]}")
        for name in COMMANDS
        for words, command in commands_of([name], load(name))
        for parameter in command.params
        if parameter.type_descriptor.annotation in (int, float)
        and not (name == "bench" and parameter.opts[0] in BOUNDED_BY_THE_MACHINE)
    ]


@pytest.mark.parametrize(("words", "parameter"), numbers())
def test_a_number_has_bounds(words: list[str], parameter: Any) -> None:
    low, high = parameter.min, parameter.max
    assert low is not None
    assert high is not None
    for value in ("nan", "inf", "-inf", "1e400", str(high * 10 + 1), str(low - 1)):
        refused = CliRunner().invoke(app, [*words, f"{parameter.opts[0]}={value}"])
        assert refused.exit_code == 2, value
        assert parameter.opts[0] in refused.output


def test_numbers_are_found() -> None:
    assert len(numbers()) > 25
