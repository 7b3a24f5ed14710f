"""``carousel-sync bench local`` prints figures, writes a report, and leaves nothing else behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CLI = str(Path(sys.executable).parent / "carousel-sync")


def test_a_small_run(tmp_path: Path) -> None:
    report = tmp_path / "latency.html"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    arguments = ["--events", "30", "--concurrency", "2", "--batch-size", "10", "--embedding", "4", "--seed", "1"]
    done = subprocess.run(
        [CLI, "bench", "local", *arguments, "--report", str(report), "--json"],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["exactly_once"] is True
    assert (figures["sales"], figures["verification"]["rows"], figures["verification"]["items"]) == (30, 30, 30)
    assert set(figures["batch_milliseconds"]) == {"p50", "p90", "p95", "p99", "max"}
    assert figures["usd_per_million_sales"]["usd"] > 0
    assert "<svg" in report.read_text()
    assert list(temporary.iterdir()) == []


def test_a_small_run_in_direct_mode(tmp_path: Path) -> None:
    arguments = ["--mode", "direct", "--events", "12", "--concurrency", "3", "--embedding", "0", "--seed", "1"]
    done = subprocess.run(
        [CLI, "bench", "local", *arguments, "--json"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["exactly_once"] is True
    assert (figures["sales"], figures["invocations"], figures["verification"]["rows"]) == (12, 12, 12)
    assert sum(int(size) * commits for size, commits in figures["group_sizes"].items()) == 12
