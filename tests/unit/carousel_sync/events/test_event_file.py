"""Events in files: they are sent with the exact text of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from carousel_sync.events.event_file import read_event


@pytest.mark.parametrize(
    "detail",
    [
        '{"listedPrice": 450.00000000000000000001, "salePrice": 1E+2}',
        '{"a": 1, "a": 2, "nested": {"detail": {"b": [1.50, "}"]}}}',
        '{ "text" : "\\u00e9 \\" , } \\n" }',
        "{}",
    ],
)
def test_an_event_file_keeps_its_text(tmp_path: Path, detail: str) -> None:
    path = tmp_path / "event.json"
    path.write_text(f'\n{{"source": "s", "detail-type":"t" ,\n "detail" :{detail} , "resources": [{{"detail": 1}}]}}\n')
    read = read_event(path)
    assert (read.source, read.detail_type, read.detail) == ("s", "t", detail)


@pytest.mark.parametrize("time", ["", "yesterday", "2025-12-30T12:00:00"])
def test_an_invalid_time_is_left_out(tmp_path: Path, time: str) -> None:
    path = tmp_path / "event.json"
    path.write_text(f'{{"source": "s", "detail-type": "t", "time": "{time}", "detail": {{}}}}')
    assert "Time" not in read_event(path).entry("default")
