"""A handler in its own process, as in Lambda: invoked with JSON text, one invocation at a time."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
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


class _Process:
    """The state of a handler's process, whose output is its log."""

    def __init__(self, handler: Callable[[Any, Context], Any], log: io.StringIO) -> None:
        self._handler = handler
        self._log = log
        self._counter = RequestCounter()
        self._first = True

    def invoke(self, payload: str) -> Invocation:
        context = Context()
        given_back: tuple[str, ...] = ()
        error = ""
        self._counter.take()
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            answer = self._handler(json.loads(payload), context)
            # The answer to a single event has none: what cannot be settled raises.
            given_back = tuple(failure["itemIdentifier"] for failure in answer.get("batchItemFailures", ()))
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        log, requests = self._log.getvalue(), self._counter.take()
        self._log.seek(0)
        self._log.truncate()
        first, self._first = self._first, False
        conflicts = round(metric_in(log, Metric.COMMIT_CONFLICTS))
        return Invocation(seconds, cpu_seconds, first, given_back, conflicts, len(log.encode()), requests, error)


_processes: Final[list[_Process]] = []
"""Empty until :func:`become_handler` has been called; then this process."""


def become_handler(environment: Mapping[str, str], ready: Barrier) -> None:
    """Turn this process into a handler, and wait until all handlers are ready.

    Replaces the AWS variables of its environment, and its standard output.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent process decides when to stop.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment, AWS_EC2_METADATA_DISABLED="true")
    sys.stdout = log = io.StringIO()
    try:
        # The import must see the environment and the output that it sees in Lambda.
        from lambda_fn.handler import handler  # noqa: PLC0415
    except BaseException:
        ready.abort()
        raise
    _processes.append(_Process(handler, log))
    ready.wait()


def invoke(path: str) -> Invocation:
    """Invoke the handler of this process with the JSON text in a file."""
    (process,) = _processes
    return process.invoke(Path(path).read_text(encoding="utf-8"))


def metric_in(log: str, metric: Metric) -> float:
    """Return the sum of a metric in a log that uses CloudWatch's embedded metric format."""
    documents = [json.loads(line) for line in log.splitlines() if '"_aws"' in line]
    values = [document.get(metric.value, 0) for document in documents]
    return sum(sum(value) if isinstance(value, list) else value for value in values)
