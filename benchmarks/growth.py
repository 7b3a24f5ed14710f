"""How an append's CPU time grows with the table's history: commit 2,000 against commit 50."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import mean, median
from typing import Final

from benchmarks.events import sales_of_one_partition
from benchmarks.measuring import Bench
from benchmarks.report import Row
from benchmarks.writers import PlainWriter, landed, our_writer

COMMITS: Final = 2000
PLAIN_COMMITS: Final = 200
"""Few enough that a run stays short: pyiceberg's append takes a second each long before commit 2,000."""
EARLY: Final = 50
AROUND: Final = 10
"""A figure is the median of so many commits before the one it is named for, and of so many after it."""
TIMES_EARLY: Final = 3.0
MERGED: Final = 100
"""So many commits are one merge of manifests or more: a median would not show what it takes."""
SHOW_EVERY: Final = 20


def commit_by_commit(bench: Bench) -> list[Row]:
    """Append one sale at a time to a table each, ours and pyiceberg's."""
    stand = bench.stand
    commits = COMMITS // 10 if bench.quick else COMMITS
    plain_commits = PLAIN_COMMITS // 3 if bench.quick else PLAIN_COMMITS
    stores = stand.stores()
    writer = our_writer(stand, stores, stand.server)

    def append() -> None:
        assert landed(writer.append(sales_of_one_partition(1, 0)))

    ours = _cpu_milliseconds(bench, "ours", append, commits + AROUND)
    plain_writer = PlainWriter(stand.plain_table(stand.stores(), stand.server))
    plain = _cpu_milliseconds(
        bench, "Table.append", lambda: plain_writer.append(sales_of_one_partition(1, 0)), plain_commits + AROUND
    )
    bench.pictures.curves = {"ours": _curve(ours), "pyiceberg Table.append": _curve(plain)}
    growth = _at(ours, commits) / _at(ours, EARLY)
    return [
        Row(
            f"growth, ours: CPU of commit {commits:,}; anchor: of commit {EARLY}",
            "ms",
            [_at(ours, commits)],
            f"<= {TIMES_EARLY:.0f} x",
            met=growth <= TIMES_EARLY,
            anchor=[_at(ours, EARLY)],
            ratio=growth,
        ),
        Row(
            f"growth, ours: CPU of one of the last {MERGED} commits, merging included; anchor: of commit {EARLY}",
            "ms",
            [mean(ours[commits - MERGED : commits])],
            "",
            met=None,
            anchor=[_at(ours, EARLY)],
            ratio=mean(ours[commits - MERGED : commits]) / _at(ours, EARLY),
        ),
        Row(
            f"growth, Table.append: CPU of commit {plain_commits}; anchor: of commit {EARLY}",
            "ms",
            [_at(plain, plain_commits)],
            "",
            met=None,
            anchor=[_at(plain, EARLY)],
            ratio=_at(plain, plain_commits) / _at(plain, EARLY),
        ),
        Row(
            f"CPU of commit {plain_commits}: ours; anchor: Table.append",
            "ms",
            [_at(ours, plain_commits)],
            "",
            met=None,
            anchor=[_at(plain, plain_commits)],
            ratio=_at(plain, plain_commits) / _at(ours, plain_commits),
        ),
    ]


def _cpu_milliseconds(bench: Bench, name: str, append: Callable[[], None], commits: int) -> list[float]:
    taken: list[float] = []
    for number in range(commits):
        if number % SHOW_EVERY == 0:
            bench.step(f"{name}, commit {number:,} of {commits:,}")
        started = time.process_time()
        append()
        taken.append((time.process_time() - started) * 1000)
    return taken


def _at(taken: list[float], commit: int) -> float:
    return median(taken[max(0, commit - AROUND) : commit + AROUND])


def _curve(taken: list[float]) -> list[tuple[int, float]]:
    return [(commit, _at(taken, commit)) for commit in range(AROUND, len(taken) + 1, AROUND)]
