"""How the CPU time of an append grows with the table's history: commit 2,000 against commit 50."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import mean, median
from typing import Final

from benchmarks.append.writers import Append, our_append, plain_rows, plain_table
from benchmarks.measuring import Bench
from benchmarks.report import Row
from lambda_fn.sale import Sale
from testbed.sales import one_partition_sales

COMMITS: Final = 2000
PLAIN_COMMITS: Final = 200
"""Few enough to keep a run short: pyiceberg's append takes a second long before commit 2,000."""
EARLY: Final = 50
AROUND: Final = 10
"""A figure is the median of this many commits before and after the commit it is named for."""
MAX_GROWTH: Final = 3.0
LAST: Final = 100
"""This many commits include at least one merge of manifests, whose cost a median does not show."""
SHOW_EVERY: Final = 20


def commit_by_commit(bench: Bench) -> list[Row]:
    """Append one sale at a time to a table, with our writer and then, to another table, with pyiceberg's."""
    emulator = bench.emulator
    commits = COMMITS // 10 if bench.quick else COMMITS
    plain_commits = PLAIN_COMMITS // 3 if bench.quick else PLAIN_COMMITS
    table = plain_table(emulator.create_stores(), emulator.server)

    def plain_append(sales: Sequence[Sale]) -> None:
        table.append(plain_rows(sales, table.schema()))

    ours = _cpu_milliseconds(bench, "ours", our_append(emulator.create_stores(), emulator.server), commits)
    plain = _cpu_milliseconds(bench, "Table.append", plain_append, plain_commits)
    bench.chart_data.curves = {"ours": _curve(ours), "pyiceberg Table.append": _curve(plain)}
    early, late = _at(ours, EARLY), _at(ours, commits)
    plain_early, plain_late, our_late = _at(plain, EARLY), _at(plain, plain_commits), _at(ours, plain_commits)
    with_merges = mean(ours[commits - LAST : commits])
    target, met = f"<= {MAX_GROWTH:.0f} x", late / early <= MAX_GROWTH
    anchor = f"anchor: of commit {EARLY}"
    of_the_last = f"growth, ours: CPU of one of the last {LAST} commits, merging included; {anchor}"
    of_plain = f"growth, Table.append: CPU of commit {plain_commits}; {anchor}"
    of_both = f"CPU of commit {plain_commits}: ours; anchor: Table.append"
    return [
        Row(f"growth, ours: CPU of commit {commits:,}; {anchor}", "ms", [late], [early], late / early, target, met),
        Row(of_the_last, "ms", [with_merges], [early], with_merges / early),
        Row(of_plain, "ms", [plain_late], [plain_early], plain_late / plain_early),
        Row(of_both, "ms", [our_late], [plain_late], plain_late / our_late),
    ]


def _cpu_milliseconds(bench: Bench, name: str, append: Append, commits: int) -> list[float]:
    taken: list[float] = []
    for number in range(commits + AROUND):
        if number % SHOW_EVERY == 0:
            bench.step(f"{name}, commit {number:,} of {commits:,}")
        sales = one_partition_sales(1, 0)
        started = time.process_time()
        append(sales)
        taken.append((time.process_time() - started) * 1000)
    return taken


def _at(taken: list[float], commit: int) -> float:
    return median(taken[max(0, commit - AROUND) : commit + AROUND])


def _curve(taken: list[float]) -> list[tuple[int, float]]:
    return [(commit, _at(taken, commit)) for commit in range(AROUND, len(taken) + 1, AROUND)]
