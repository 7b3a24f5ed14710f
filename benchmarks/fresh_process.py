"""What runs in a fresh interpreter: ``python -m benchmarks.fresh_process HANDLER WHAT [FILE]``.

HANDLER is ``ours`` or ``plain``. WHAT is

    start     import the handler and wire it until it holds the loaded table, then handle one event
    memory    handle the invocation that FILE holds, as the Lambda runtime does

The measured figures are printed as JSON. Nothing of this package is imported before the handler under test.
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
from typing import Any, Final

INVOCATION_SECONDS: Final = 600.0
_KILOBYTE: Final = 1024


class Context:
    """A Lambda context whose time never runs out."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return int(INVOCATION_SECONDS * 1000)


def our_handler() -> Callable[[Any], Any]:
    """Import the function, wire it, and have it load the table, as its first event would."""
    from lambda_fn.handler import handler  # noqa: PLC0415
    from lambda_fn.runtime.retry import Deadline, SystemClock  # noqa: PLC0415
    from lambda_fn.wiring import application  # noqa: PLC0415

    table = application().process.sync_sales.table
    table.begin(1, Deadline.after(SystemClock(), INVOCATION_SECONDS))
    return lambda event: handler(event, Context())


def plain_handler() -> Callable[[Any], Any]:
    """Import the anchor, wire it, and have it load the table."""
    from benchmarks.plain import PlainHandler, PlainSettings  # noqa: PLC0415

    endpoint = os.environ["AWS_ENDPOINT_URL"]
    region = os.environ["AWS_REGION"]
    catalog = {
        "type": "rest",
        "uri": f"{endpoint}/iceberg",
        "warehouse": os.environ["TABLE_BUCKET_ARN"],
        "rest.sigv4-enabled": "true",
        "rest.signing-name": "s3tables",
        "rest.signing-region": region,
    }
    identifier = (os.environ["ICEBERG_NAMESPACE"], os.environ["ICEBERG_TABLE"])
    settings = PlainSettings(
        region, endpoint, catalog, identifier, os.environ["GUARD_TABLE"], os.environ["PROJECTION_TABLE"]
    )
    return PlainHandler(settings).handle


def start(make: Callable[[], Callable[[Any], Any]], event: Any) -> dict[str, float]:
    """Return the CPU and clock seconds since the interpreter began, until the table is loaded and after an event."""
    begun = time.perf_counter()
    handle = make()
    wired_cpu, wired = time.process_time(), time.perf_counter() - begun
    handle(event)
    return {
        "wired_cpu": wired_cpu,
        "wired_wall": wired,
        "first_event_cpu": time.process_time(),
        "first_event_wall": time.perf_counter() - begun,
    }


def memory(make: Callable[[], Callable[[Any], Any]], text: str) -> dict[str, float]:
    """Return the most memory that the process ever had, in bytes: wired, and after the invocation."""
    handle = make()
    wired = peak_bytes()
    event = json.loads(text)
    handle(event)
    return {"wired": wired, "peak": peak_bytes(), "records": len(event["Records"])}


def peak_bytes() -> float:
    """Return the peak of the resident set.

    Linux hands ``ru_maxrss`` of the parent on to a child, so its own high-water mark is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return float(line.split()[1]) * _KILOBYTE
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


if __name__ == "__main__":
    making = {"ours": our_handler, "plain": plain_handler}[sys.argv[1]]
    given = Path(sys.argv[3]).read_text()
    with redirect_stdout(io.StringIO()):
        figures = memory(making, given) if sys.argv[2] == "memory" else start(making, json.loads(given))
    sys.stdout.write(json.dumps(figures))
