"""``python -m benchmarks``: takes the measurements and prints each figure beside its anchor."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import append_charts, planning_charts
from benchmarks.append import contention, growth, single_append
from benchmarks.deployment import artefact, fresh_processes
from benchmarks.group_commit import many_batches, many_writers
from benchmarks.invocation import claims, decode, handlers
from benchmarks.measuring import Bench
from benchmarks.report import Row, as_json, as_markdown, as_table
from carousel_sync.command_line.console import readable_errors, stderr, stdout
from testbed.proxied_emulator import proxied_emulator

# Durations of single requests come first: many machines slow down after a minute of full load.
MEASUREMENTS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "requests": single_append.requests_of_one_append,
    "append": single_append.time_of_one_append,
    "direct": handlers.direct_event,
    "batch": handlers.whole_batch,
    "claims": claims.compare_claims,
    "decode": decode.events_per_second,
    "growth": growth.commit_by_commit,
    "contention": contention.eight_writers,
    "slow-commits": many_writers.slow_commits,
    "fast-commits": many_writers.fast_commits,
    "batches-of-100": many_batches.batches_of_a_hundred,
    "batches-of-10": many_batches.batches_of_ten,
    "memory": fresh_processes.peak_memory,
    "artefact": artefact.artefact_size,
    "start": fresh_processes.cold_start,
}
MIN_WIDTH: Final = 160


def main() -> None:
    """Take the measurements that the command line asks for, and report them."""
    options = _parser().parse_args()
    with readable_errors(), tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rows = measure(options.only or list(MEASUREMENTS), Path(folder), options.pictures, quick=options.quick)
    console = stdout if stdout.width >= MIN_WIDTH else Console(width=MIN_WIDTH)
    console.print(as_table(rows))
    for path, text in ((options.json, as_json(rows)), (options.markdown, as_markdown(rows))):
        if path is not None:
            path.write_text(text + "\n")
    missed = [row.name for row in rows if row.met is False]
    stdout.print(f"{len(missed)} targets missed{': ' if missed else '.'}{'; '.join(missed)}", soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure this project side by side with what one would use instead."
    )
    pictures = "also draw the charts of docs/performance.md into this folder"
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="take only this measurement; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table to this file, as Markdown")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help=pictures)
    parser.add_argument("--quick", action="store_true", help="take few repetitions; the figures are rough")
    return parser


def measure(names: list[str], folder: Path, pictures: Path | None, *, quick: bool) -> list[Row]:
    """Take the measurements, one after the other on the same emulator."""
    rows: list[Row] = []
    started = time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.fields[name]}: {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, auto_refresh=False) as progress, proxied_emulator(folder) as emulator:
        bench = Bench(emulator, folder, progress, progress.add_task("", total=None, name="start"), quick=quick)
        for name in names:
            progress.update(bench.task, name=name)
            bench.step("preparing")
            measurement_started = time.monotonic()
            rows += MEASUREMENTS[name](bench)
            stderr.print(f"{name}: measured in {time.monotonic() - measurement_started:.0f} s")
    for drawn in [*append_charts.draw(bench.chart_data, pictures), *planning_charts.draw(pictures)] if pictures else ():
        stderr.print(f"drawn: {drawn}")
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    load = f", load average {os.getloadavg()[0]:.1f} at the end"
    stderr.print(f"{time.monotonic() - started:.0f} s in total; {machine}{load}")
    return rows


if __name__ == "__main__":
    main()
