"""``python -m benchmarks``: every figure beside its anchor, as a table, as JSON, as pictures."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import append, artefact, claims, contention, decode, fresh, growth, handler_batch
from benchmarks.measuring import Bench
from benchmarks.picture import draw
from benchmarks.report import Row, as_markdown, as_table, write_json
from benchmarks.stand import stand
from carousel_sync.command_line.console import readable_errors, stderr, stdout

# Times of single requests come first: a processor that has been busy for a minute is slower on many machines.
MEASUREMENTS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "requests": append.requests_of_one_commit,
    "append": append.time_of_one_append,
    "direct": handler_batch.direct_event,
    "batch": handler_batch.whole_batch,
    "claims": claims.ways_to_claim,
    "decode": decode.events_per_second,
    "growth": growth.commit_by_commit,
    "contention": contention.eight_writers,
    "memory": fresh.peak_memory,
    "artefact": artefact.size,
    "start": fresh.cold_start,
}
COLUMNS: Final = 160

app: Final = typer.Typer(add_completion=False)


@app.command()
def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Of these only: {', '.join(MEASUREMENTS)}.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Also draw the curves, into this folder.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the table to this file, as Markdown.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions: a look, not a figure.")] = False,
) -> None:
    """Measure this project beside what one would use instead."""
    unknown = set(only or ()) - MEASUREMENTS.keys()
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there is only {', '.join(MEASUREMENTS)}")
    with readable_errors(), tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rows = measure(only or list(MEASUREMENTS), Path(folder), pictures, quick=quick)
    wide_enough = stdout if stdout.width >= COLUMNS else Console(width=COLUMNS)
    wide_enough.print(as_table(rows))
    if json_file is not None:
        write_json(rows, json_file)
    if markdown is not None:
        markdown.write_text(as_markdown(rows) + "\n")
    missed = [row.name for row in rows if row.met is False]
    stdout.print(f"{len(missed)} targets missed{': ' if missed else '.'}{'; '.join(missed)}", soft_wrap=True)


def measure(names: list[str], folder: Path, pictures: Path | None, *, quick: bool) -> list[Row]:
    """Take the measurements, one after the other on the same stand."""
    rows: list[Row] = []
    started = time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.fields[name]}: {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, auto_refresh=False) as progress, stand(folder) as where:
        task = progress.add_task("", total=None, name="start")
        bench = Bench(where, folder, progress, task, quick=quick)
        for name in names:
            progress.update(task, name=name, description="preparing")
            progress.refresh()
            begun = time.monotonic()
            rows += MEASUREMENTS[name](bench)
            stderr.print(f"{name}: measured in {time.monotonic() - begun:.0f} s")
    for drawn in draw(bench.pictures, pictures) if pictures else ():
        stderr.print(f"drawn: {drawn}")
    load = f", {os.getloadavg()[0]:.1f} processes waiting for them at the end" if hasattr(os, "getloadavg") else ""
    stderr.print(
        f"{time.monotonic() - started:.0f} s in all; Python {platform.python_version()}, {os.cpu_count()} cores{load}"
    )
    return rows


if __name__ == "__main__":
    app()
