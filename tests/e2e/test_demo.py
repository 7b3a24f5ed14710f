"""``carousel-sync demo``: it succeeds, and leaves nothing running, even when it is interrupted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

PROGRAM = Path(sys.executable).with_name("carousel-sync")


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"}


def endpoint_in(text: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", text)
    assert found, text
    return found.group()


def assert_stopped(endpoint: str) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(endpoint, timeout=5)


def test_the_demo_stores_every_sale_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "demo"], env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "341 distinct sales were sent, and the table has 341 rows." in done.stdout
    assert "avg_price" in done.stdout
    assert "TENANT#carousel-labs#PRODUCT#PROD-LV-12345" in done.stdout
    assert {"INVALID_FIELD", "CONFLICTING_DUPLICATE", "ITEM_TOO_LARGE"} <= set(
        re.findall(r"[A-Z]+_[A-Z_]+", done.stdout)
    )
    assert "Consistent: every sale has one row" in done.stdout
    page = tmp_path / "demo-report.html"
    assert f"Open it in a browser: {page}" in done.stdout
    assert "Which brand sells fastest?" in page.read_text()
    assert "What is withheld, and why?" in page.read_text()
    assert_stopped(endpoint_in(done.stdout))
    assert list(tmp_path.glob("carousel-demo-*")) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_an_interrupted_demo_stops_its_stack(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen(
        [PROGRAM, "demo"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        up = next(line for line in demo.stdout if line.startswith("Up at "))
        demo.send_signal(how)
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130, errors
    assert "The stack is stopped" in errors
    assert "Traceback" not in errors
    assert_stopped(endpoint_in(up))
