"""Text from outside, as a terminal may show it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel_sync.command_line.console import readable_errors, working_on
from carousel_sync.command_line.text import cell, emphasised, json_text, one_line, printable
from lambda_fn.errors import ConfigurationError
from tests.unit.carousel_sync.command_line.screen import HOSTILE, SHOWN, obeyed


def test_control_characters_are_shown_as_escapes() -> None:
    assert one_line(HOSTILE) == SHOWN
    assert printable(HOSTILE) == SHOWN.replace("\\nc", "\nc")
    assert printable("Hermès, 東京, 🔥 and\ta tab") == "Hermès, 東京, 🔥 and\ta tab"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not obeyed(printable(text))
    assert not obeyed(one_line(text))
    assert not {"\n", "\t"} & set(one_line(text))
    assert not obeyed(cell(text).plain + emphasised(text, text).plain)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_is_the_same_value_without_raw_control_characters(value: object) -> None:
    assert json.loads(json_text(value)) == json.loads(json_text(value, indent=2)) == value
    assert not obeyed(json_text(value, indent=2))


def test_json_keeps_readable_characters() -> None:
    assert json_text({"brand": "Hermès 🔥"}) == '{"brand": "Hermès 🔥"}'


def test_a_long_text_is_shortened_in_a_cell() -> None:
    assert cell("a" * 11, longest=10).plain == "a" * 10 + "..."
    assert cell("a" * 10, longest=10).plain == "a" * 10


def test_an_error_and_the_progress_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with working_on(HOSTILE) as progress:
        progress(HOSTILE)
    with pytest.raises(SystemExit), readable_errors():
        raise ConfigurationError(HOSTILE)
    printed = capsys.readouterr().err
    assert "[bold]x[/] [/no] :fire: \\x1b[31m" in printed
    assert not obeyed(printed)
