"""The deployed function's processes are killed at random moments: everything drains, each sale once.

A thousand events, with leases that have to run out: make test-engines, or python -m tests.faults.kill
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness.commands import seed_of_environment
from tests.faults.harness.figures import note
from tests.faults.kill import deployed

DRAIN_SECONDS = 200.0


def test_killed_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = seed_of_environment()
    with deployed(tmp_path, seed, lapse=True) as run:
        figures = run.play(events=150, kills=6, batch_size=20, drain_seconds=DRAIN_SECONDS)
    note([figures.row(f"SIGKILL, seed {seed}")])
    assert figures.report is not None
    assert figures.report.consistent
    assert figures.report.rows == figures.sales
    assert figures.kills >= 6
    assert sum(figures.interrupted) > 0


def test_a_writer_that_marks_first_is_caught_losing(tmp_path: Path) -> None:
    seed = seed_of_environment()
    with deployed(tmp_path, seed, lapse=True, control=True) as run:
        figures = run.play(events=80, kills=3, batch_size=20, drain_seconds=DRAIN_SECONDS)
    note([figures.row(f"SIGKILL, writer that marks first, seed {seed}")])
    assert figures.report is not None
    assert len(figures.report.missing_rows) > 0


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_a_thousand_events_under_fire_with_leases_that_run_out(tmp_path: Path) -> None:
    seed = seed_of_environment()
    with deployed(tmp_path, seed, lapse=False) as run:
        figures = run.play(events=1000, kills=12, batch_size=50, drain_seconds=800.0)
    note([figures.row(f"SIGKILL, seed {seed}")])
    assert figures.report is not None
    assert figures.report.consistent
    assert figures.report.rows == figures.sales
    assert figures.kills >= 12
