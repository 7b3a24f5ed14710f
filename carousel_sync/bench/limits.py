"""The largest run that this machine can take."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from carousel_sync.bench.figures import Setup
from carousel_sync.events.generate import event_bytes
from lambda_fn.errors import ConfigurationError

HANDLERS_PER_PROCESSOR: Final = 16
"""More processes do not start within the time that a run waits for them."""
HANDLER_BYTES: Final = 256 * 1024**2
"""The memory of a handler's process, with a batch of 500 events."""
_GIBIBYTE: Final = 1024**3


def check(setup: Setup, report: Path | None = None) -> None:
    """Raise ConfigurationError if the machine cannot take the run, or if the report cannot be written."""
    if report and (report.is_dir() or not os.access(report if report.exists() else report.parent, os.W_OK)):
        raise ConfigurationError(f"Cannot write {report}. Nothing was started.")
    processors = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    handlers = max(1, min(HANDLERS_PER_PROCESSOR * processors, memory // HANDLER_BYTES))
    if setup.concurrency > handlers:
        raise ConfigurationError(
            f"--concurrency is at most {handlers} on this machine: each handler is a process that needs "
            f"{HANDLER_BYTES // 1024**2} MiB of {memory / _GIBIBYTE:.1f} GiB of memory, and a processor can start "
            f"{HANDLERS_PER_PROCESSOR} in time. Nothing was started."
        )
    each = event_bytes(replace(setup, events=1, duplicates=0.0).recipe())
    free = shutil.disk_usage(tempfile.gettempdir()).free
    events = min(memory // 2, free) // each
    if setup.events > events:
        raise ConfigurationError(
            f"--events is at most {events:,} on this machine: an event has {each:,} bytes; the batches have to fit on "
            f"the disk ({free / _GIBIBYTE:.1f} GiB are free), and the sales in half of the memory "
            f"({memory / _GIBIBYTE:.1f} GiB), where the emulator keeps them. Nothing was started."
        )
