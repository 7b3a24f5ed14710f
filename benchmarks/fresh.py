"""Memory of the largest invocation, and the start: each in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson

from benchmarks.events import DIMENSION, envelopes, largest_batch
from benchmarks.measuring import Bench
from benchmarks.report import Row, paired_ratio
from benchmarks.stand import Stores

MEGABYTE: Final = 1e6
PEAK_MEGABYTES: Final = 350.0
SHARE_OF_PLAIN: Final = 0.65
HANDLERS: Final = ("ours", "plain")
_TIMEOUT_SECONDS: Final = 120.0


def peak_memory(bench: Bench) -> list[Row]:
    """Handle the largest batches: few events with an embedding, and many without one."""
    rows: list[Row] = []
    for dimension in (DIMENSION, 0):
        bench.step(f"the largest batch, {dimension} dimensions")
        file = bench.folder / f"invocation-{dimension}.json"
        file.write_text(largest_batch(dimension))
        peaks: dict[str, list[float]] = {name: [] for name in HANDLERS}
        records = 0
        repetitions = bench.repetitions(4) if dimension else 2
        for number in range(repetitions):
            for name in HANDLERS:
                bench.step(f"{dimension} dimensions, {name}: {number + 1} of {repetitions}")
                figures = _run(bench, bench.stand.stores(), name, "memory", file)
                peaks[name].append(figures["peak"] / MEGABYTE)
                records = int(figures["records"])
        rows.append(
            Row(
                f"peak memory, a 6 MB invocation of {records:,} sales of {dimension:,} dimensions",
                "MB",
                peaks["ours"],
                f"<= {PEAK_MEGABYTES:.0f} MB",
                met=max(peaks["ours"]) <= PEAK_MEGABYTES,
                anchor=peaks["plain"],
                ratio=paired_ratio(peaks["plain"], peaks["ours"]),
            )
        )
    return rows


def cold_start(bench: Bench) -> list[Row]:
    """Start both handlers in turn."""
    file = bench.folder / "event.json"
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in HANDLERS}
    stores = {name: bench.stand.stores() for name in HANDLERS}
    repetitions = bench.repetitions(12)
    for number in range(-1, repetitions):
        for name in HANDLERS:
            bench.step(f"{name}: {number + 1} of {repetitions}")
            file.write_bytes(orjson.dumps(next(envelopes(1))))
            figures = _run(bench, stores[name], name, "start", file)
            if number >= 0:  # The first ones fill the page cache and compile modules.
                for what, seconds in figures.items():
                    taken[name].setdefault(what, []).append(seconds * 1000)
    ours, plain = taken["ours"], taken["plain"]
    share = paired_ratio(ours["wired_cpu"], plain["wired_cpu"])
    return [
        Row(
            "cold start, import and wiring to the loaded table: CPU",
            "ms",
            ours["wired_cpu"],
            f"<= {SHARE_OF_PLAIN} x",
            met=share <= SHARE_OF_PLAIN,
            anchor=plain["wired_cpu"],
            ratio=share,
        ),
        Row(
            "cold start, the first event included: CPU",
            "ms",
            ours["first_event_cpu"],
            "",
            met=None,
            anchor=plain["first_event_cpu"],
            ratio=paired_ratio(ours["first_event_cpu"], plain["first_event_cpu"]),
        ),
    ]


def _run(bench: Bench, stores: Stores, handler: str, what: str, file: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fresh_process", handler, what, str(file)],
        env=bench.stand.environment(stores),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"benchmarks.fresh_process {handler} {what} failed: {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
