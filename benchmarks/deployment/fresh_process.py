"""What runs in a fresh interpreter: ``python -m benchmarks.deployment.fresh_process HANDLER WHAT FILE``.

HANDLER is ``ours`` or ``plain``. WHAT decides what is done and which figure is printed:

    load      import and wire the handler, and load the table: CPU seconds since the interpreter started
    event     import and wire the handler, and handle the event in FILE: CPU seconds since the interpreter started
    memory    handle the invocation in FILE, as the Lambda runtime does: peak memory in bytes

Imports are made inside functions, so that each handler pays for its own and for nothing else.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

INVOCATION_SECONDS: Final = 600.0
_KILOBYTE: Final = 1024

Handle = Callable[[Any], Any]


def our_handler() -> Handle:
    """Import and wire the function."""
    from lambda_fn.handler import handler  # noqa: PLC0415
    from lambda_fn.wiring import application  # noqa: PLC0415

    application()
    context: Any = SimpleNamespace(
        aws_request_id="request-1", get_remaining_time_in_millis=lambda: int(INVOCATION_SECONDS * 1000)
    )
    return lambda event: handler(event, context)


def load_our_table() -> None:
    """Import and wire the function, and load the table with its writer."""
    our_handler()

    from lambda_fn.runtime.parallel import Threads  # noqa: PLC0415
    from lambda_fn.runtime.retry import Deadline, SystemClock  # noqa: PLC0415
    from lambda_fn.settings import Settings  # noqa: PLC0415
    from lambda_fn.telemetry import PowertoolsTelemetry  # noqa: PLC0415
    from lambda_fn.wiring import WORKERS, sales_table  # noqa: PLC0415

    settings, clock = Settings.from_environment(os.environ), SystemClock()
    table = sales_table(settings, clock, Threads(WORKERS), PowertoolsTelemetry(settings.stage))
    table.begin(1, Deadline.after(clock, INVOCATION_SECONDS))


def plain_handler() -> Handle:
    """Import and wire the anchor, which loads the table."""
    from benchmarks.invocation.plain_handler import PlainHandler  # noqa: PLC0415

    return PlainHandler(os.environ).handle


def measure(handler: str, what: str, text: str) -> float:
    """Do what the command line asks for, and return the figure."""
    if what == "load":
        (load_our_table if handler == "ours" else plain_handler)()
        return time.process_time()
    handle = (our_handler if handler == "ours" else plain_handler)()
    handle(json.loads(text))
    return time.process_time() if what == "event" else peak_bytes()


def peak_bytes() -> float:
    """Return the peak of the resident set.

    On Linux a child inherits ``ru_maxrss`` from its parent, so the process's own high-water mark is read instead.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return float(line.split()[1]) * _KILOBYTE
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


if __name__ == "__main__":
    content = Path(sys.argv[3]).read_text()
    with redirect_stdout(io.StringIO()):
        figure = measure(sys.argv[1], sys.argv[2], content)
    sys.stdout.write(str(figure))
