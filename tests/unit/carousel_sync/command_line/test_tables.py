"""Tables on terminals of several widths, and in a pipe."""

from __future__ import annotations

import pytest

from carousel_sync.command_line import console
from carousel_sync.command_line.tables import Column, Kind, Row, show_table
from carousel_sync.command_line.text import cell
from tests.unit.carousel_sync.command_line.screen import HOSTILE, SHOWN, obeyed, printed

COLUMNS = ("Id", Column("Number", Kind.NUMBER), Column("Detail", Kind.PROSE))
ID = "4919a9a8-ef24-4e13-9f8c-bcaed91798be"
PROSE = "Field required: ask the producer for a correct event, and send nothing back before it comes."
ROWS: list[Row] = [(ID, "1", PROSE), None, ("b", "22,000", cell("red", style="red"))]


def shown(monkeypatch: pytest.MonkeyPatch, width: int | None, rows: list[Row] = ROWS) -> str:
    return printed(monkeypatch, width, lambda: show_table(COLUMNS, rows, console.stdout, "Title"))


def test_only_prose_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 80)
    (line,) = (line for line in text.splitlines() if ID in line)
    assert line.split()[:3] == [ID, "1", "Field"]
    assert PROSE not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_table_that_is_too_wide_becomes_records(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 60).splitlines() == [
        "Title",
        f"Id      {ID}",
        "Number  1",
        f"Detail  {PROSE}",
        "",
        "Id      b",
        "Number  22,000",
        "Detail  red",
        "",
    ]


def test_a_pipe_gets_one_record_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, None).splitlines() == [
        "Title",
        "Id\tNumber\tDetail",
        f"{ID}\t1\t{PROSE}",
        "b\t22,000\tred",
    ]


@pytest.mark.parametrize("width", [20, 60, 80, 120, 400, None])
def test_a_value_is_shown_as_it_is_and_on_one_line(monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    text = shown(monkeypatch, width, [(HOSTILE, HOSTILE, HOSTILE)])
    assert not obeyed(text)
    assert text.count(SHOWN) == 3


def test_a_table_without_records_has_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, None, []).splitlines() == ["Title", "Id\tNumber\tDetail"]
    assert "Number" in shown(monkeypatch, 80, [])
