"""After the deployed function's processes are killed at random moments, everything drains, each sale exactly once.

make test-engines and python -m tests.faults.kill use a thousand events, and leases that expire on their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness.figures import print_table
from tests.faults.kill import deployed

DRAIN_SECONDS = 200.0


@pytest.mark.parametrize(
    "in_groups",
    [pytest.param(False, id="adaptive"), pytest.param(True, id="in-groups", marks=pytest.mark.engine)],
)
def test_killed_processes_lose_and_duplicate_nothing(tmp_path: Path, seed: int, in_groups: bool) -> None:
    with deployed(tmp_path, seed, expire_leases=True, in_groups=in_groups) as run:
        figures = run.run(events=150, kills=6, batch_size=20, drain_seconds=DRAIN_SECONDS)
        assert not in_groups or run.changes_of_the_lease() > 0
    print_table(figures.row(f"SIGKILL, {in_groups=}, seed {seed}"))
    assert figures.report is not None
    assert figures.report.consistent
    assert figures.report.rows == figures.sales
    assert figures.kills >= 6
    assert sum(figures.interrupted) > 0


def test_a_writer_that_marks_first_is_caught_losing_sales(tmp_path: Path, seed: int) -> None:
    with deployed(tmp_path, seed, expire_leases=True, control=True) as run:
        figures = run.run(events=80, kills=3, batch_size=20, drain_seconds=DRAIN_SECONDS)
    print_table(figures.row(f"SIGKILL, writer that marks first, seed {seed}"))
    assert figures.report is not None
    assert len(figures.report.missing_rows) > 0


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_a_thousand_events_with_leases_that_expire_on_their_own(tmp_path: Path, seed: int) -> None:
    with deployed(tmp_path, seed, expire_leases=False) as run:
        figures = run.run(events=1000, kills=12, batch_size=50, drain_seconds=800.0)
    print_table(figures.row(f"SIGKILL, seed {seed}"))
    assert figures.report is not None
    assert figures.report.consistent
    assert figures.report.rows == figures.sales
    assert figures.kills >= 12
