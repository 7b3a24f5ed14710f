"""The entry point: what it imports before it can handle an interruption."""

from __future__ import annotations

import subprocess
import sys

import pytest

from carousel_sync import start


def test_an_interruption_while_the_command_line_is_imported_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "carousel_sync.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "carousel_sync.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as caught:
        start.main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_nothing_else_is_imported_before_that() -> None:
    script = "import sys; before = {*sys.modules}; import carousel_sync.start; print(sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['__future__', 'carousel_sync', 'carousel_sync.start']"
