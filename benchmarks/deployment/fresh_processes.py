"""Peak memory of the largest invocation, and the cold start: each measured in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson

from benchmarks.measuring import Bench, paired_ratio
from benchmarks.report import Row
from carousel_sync.project import PROJECT_ROOT
from testbed.sales import DIMENSION, envelopes, largest_batch
from testbed.stores import Stores

MEGABYTE: Final = 1e6
MAX_PEAK_MEGABYTES: Final = 350.0
MAX_SHARE_OF_PLAIN: Final = 0.85
HANDLERS: Final = ("ours", "plain")
_TIMEOUT_SECONDS: Final = 120.0


def peak_memory(bench: Bench) -> list[Row]:
    """Handle the largest batches: few events with an embedding, and many without."""
    return [_peak_memory(bench, DIMENSION, bench.repetitions(4)), _peak_memory(bench, 0, 2)]


def _peak_memory(bench: Bench, dimension: int, repetitions: int) -> Row:
    file = bench.folder / f"invocation-{dimension}.json"
    file.write_text(largest_batch(dimension))
    records = len(json.loads(file.read_bytes())["Records"])
    peaks: dict[str, list[float]] = {name: [] for name in HANDLERS}
    for number in range(repetitions):
        for name in HANDLERS:
            bench.step(f"{dimension} dimensions, {name}: {number + 1} of {repetitions}")
            peaks[name].append(_run(bench.emulator.create_stores(), name, "memory", file) / MEGABYTE)
    return Row(
        f"peak memory, a 6 MB invocation of {records:,} sales of {dimension:,} dimensions",
        "MB",
        peaks["ours"],
        peaks["plain"],
        paired_ratio(peaks["plain"], peaks["ours"]),
        f"<= {MAX_PEAK_MEGABYTES:.0f} MB",
        max(peaks["ours"]) <= MAX_PEAK_MEGABYTES,
    )


def cold_start(bench: Bench) -> list[Row]:
    """Start both handlers in turn, up to the loaded table and up to the answer to the first event."""
    file = bench.folder / "event.json"
    stores = {name: bench.emulator.create_stores() for name in HANDLERS}
    taken: dict[tuple[str, str], list[float]] = {(name, what): [] for name in HANDLERS for what in ("load", "event")}
    repetitions = bench.repetitions(12)
    for number in range(-1, repetitions):
        for (name, what), samples in taken.items():
            bench.step(f"{name}, {what}: {number + 1} of {repetitions}")
            file.write_bytes(orjson.dumps(next(envelopes(1))))
            milliseconds = _run(stores[name], name, what, file) * 1000
            if number >= 0:  # The first round fills the page cache and compiles modules.
                samples.append(milliseconds)
    ours, plain = taken["ours", "load"], taken["plain", "load"]
    share = paired_ratio(ours, plain)
    return [
        Row(
            "cold start, import and wiring to the loaded table: CPU",
            "ms",
            ours,
            plain,
            share,
            f"<= {MAX_SHARE_OF_PLAIN} x",
            share <= MAX_SHARE_OF_PLAIN,
        ),
        Row(
            "cold start, the first event included: CPU",
            "ms",
            taken["ours", "event"],
            taken["plain", "event"],
            paired_ratio(taken["ours", "event"], taken["plain", "event"]),
        ),
    ]


def _run(stores: Stores, handler: str, what: str, file: Path) -> float:
    """Run ``benchmarks.deployment.fresh_process`` on these stores, and return the figure that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.deployment.fresh_process", handler, what, str(file)],
        env={**stores.environment(), "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"fresh_process {handler} {what} failed: {done.stderr}")
    return float(done.stdout)
