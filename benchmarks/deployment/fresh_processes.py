"""Peak memory of the largest invocation, and the cold start: each measured in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
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

    def peak(name: str) -> float:
        return _run(bench.emulator.create_stores(), name, "memory", file) / MEGABYTE

    peaks = bench.alternate({name: partial(peak, name) for name in HANDLERS}, repetitions, warm_up=0)
    ours, plain = peaks.values()
    records = len(json.loads(file.read_bytes())["Records"])
    name = f"peak memory, a 6 MB invocation of {records:,} sales of {dimension:,} dimensions"
    target, met = f"<= {MAX_PEAK_MEGABYTES:.0f} MB", max(ours) <= MAX_PEAK_MEGABYTES
    return Row(name, "MB", ours, plain, paired_ratio(plain, ours), target, met)


def cold_start(bench: Bench) -> list[Row]:
    """Start both handlers in turn, up to the loaded table and up to the answer to the first event."""
    file = bench.folder / "event.json"
    stores = {name: bench.emulator.create_stores() for name in HANDLERS}

    def start(name: str, what: str) -> float:
        file.write_bytes(orjson.dumps(next(envelopes(1))))
        return _run(stores[name], name, what, file) * 1000

    measured = {f"{name} {what}": partial(start, name, what) for name in HANDLERS for what in ("load", "event")}
    # The round that warms up fills the page cache and compiles modules.
    ours, our_event, plain, plain_event = bench.alternate(measured, bench.repetitions(12)).values()
    share, event_share = paired_ratio(ours, plain), paired_ratio(our_event, plain_event)
    name, target = "cold start, import and wiring to the loaded table: CPU", f"<= {MAX_SHARE_OF_PLAIN} x"
    return [
        Row(name, "ms", ours, plain, share, target, share <= MAX_SHARE_OF_PLAIN),
        Row("cold start, the first event included: CPU", "ms", our_event, plain_event, event_share),
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
