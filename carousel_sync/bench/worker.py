"""A handler in its own process, as in Lambda: invoked with JSON text, one invocation at a time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from carousel_sync.bench.request_counter import RequestCounter
from lambda_fn.ports import Metric

INVOCATION_SECONDS: Final = 60.0
"""The function's time-out in template.yaml."""


@dataclass(frozen=True)
class Invocation:
    """What one invocation took and answered. ``error`` is empty unless the handler raised.

    ``seconds`` and ``cpu_seconds`` (of all threads) run from the JSON text to the answer. ``first`` marks the first
    invocation of its process, which creates the clients. ``requests`` counts by service and action.
    """

    seconds: float
    cpu_seconds: float
    first: bool
    given_back: tuple[str, ...] = ()
    conflicts: int = 0
    log_bytes: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


class Context:
    """The part of Lambda's context object that the handler uses. The invocation ends after ``seconds``."""

    def __init__(self, seconds: float = INVOCATION_SECONDS) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda would end the invocation."""
        return round((self._end - time.monotonic()) * 1000)


def serve(connection: Connection[object, object], environment: Mapping[str, str]) -> None:
    """Answer each payload file named on the connection with an :class:`Invocation`, until None arrives.

    This is a process's main function: it replaces the AWS variables of its environment, and its standard output.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent process decides when to stop.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment, AWS_EC2_METADATA_DISABLED="true")
    log = io.StringIO()
    with contextlib.redirect_stdout(log):
        # The import must see the environment and the output that it sees in Lambda.
        from lambda_fn.handler import handler  # noqa: PLC0415

        counter = RequestCounter()
        connection.send("ready")
        first = True
        while (path := connection.recv()) is not None:
            payload = Path(str(path)).read_text(encoding="utf-8")
            counter.take()
            connection.send(_invoke(handler, payload, log, counter, first=first))
            first = False


def _invoke(handler: Any, payload: str, log: io.StringIO, counter: RequestCounter, *, first: bool) -> Invocation:
    context = Context()
    given_back: tuple[str, ...] = ()
    error = ""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        answer = handler(json.loads(payload), context)
        given_back = tuple(failure["itemIdentifier"] for failure in answer["batchItemFailures"])
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    text = log.getvalue()
    log.seek(0)
    log.truncate()
    return Invocation(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        first=first,
        given_back=given_back,
        conflicts=round(metric_in(text, Metric.COMMIT_CONFLICTS)),
        log_bytes=len(text.encode()),
        requests=counter.take(),
        error=error,
    )


def metric_in(log: str, metric: Metric) -> float:
    """Return the sum of a metric in a log that uses CloudWatch's embedded metric format."""
    total = 0.0
    for line in log.splitlines():
        if '"_aws"' in line:
            value = json.loads(line).get(metric.value, 0)
            total += sum(value) if isinstance(value, list) else value
    return total
