"""The deployed function in this process, wired as in Lambda but on given settings."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, Final

from carousel_sync.bench.worker import Context
from lambda_fn.aws.batch_requests import Batches
from lambda_fn.aws.clients import dynamodb_client
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.ports import AppendResult
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline, Retry, SystemClock
from lambda_fn.sale import Sale
from lambda_fn.settings import Settings
from lambda_fn.telemetry import PowertoolsTelemetry
from lambda_fn.wiring import WORKERS, build, new_attempt_id, sales_table

INVOCATION_SECONDS: Final = 900.0

Handle = Callable[[dict[str, Any]], dict[str, Any]]

_DEV_NULL: Final = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open for as long as the process lives)


def function_handler(settings: Settings) -> Handle:
    """Return the function's handler. It asserts that no event of a batch is given back."""
    with _discarded_log():
        application = build(settings)

    def handle(event: dict[str, Any]) -> dict[str, Any]:
        with _discarded_log():
            answer = application.handle(event, Context(INVOCATION_SECONDS))
        assert not answer.get("batchItemFailures"), answer
        return answer

    return handle


class TableWriter:
    """The function's writer of the Iceberg table with its commit queue, without the guard and the projection."""

    def __init__(self, settings: Settings) -> None:
        self._clock = SystemClock()
        parallel, retry = Threads(WORKERS), Retry(self._clock, random.SystemRandom())
        dynamodb, guard = dynamodb_client(settings, WORKERS), guard_table(settings.guard_table)
        batches = Batches(dynamodb, guard, retry, parallel, settings.request_seconds)
        with _discarded_log():
            telemetry = PowertoolsTelemetry(settings.stage)
            self._table = sales_table(settings, self._clock, parallel, telemetry, batches)

    def append(self, sales: Sequence[Sale]) -> AppendResult:
        """Commit the sales as one snapshot, and merge manifests when they are due, as the function does."""
        deadline = Deadline.after(self._clock, INVOCATION_SECONDS)
        with _discarded_log():
            result = self._table.begin(new_attempt_id(), deadline).append(sales, (), deadline)
            self._table.merge_manifests(deadline)
        return result


@contextmanager
def _discarded_log() -> Iterator[None]:
    """Discard what the function logs. Writing it costs what it costs in Lambda."""
    with redirect_stdout(_DEV_NULL):
        yield
