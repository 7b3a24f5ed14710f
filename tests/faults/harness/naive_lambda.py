"""The control for the deployed function: a handler that passes batches to the naive writer that marks first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lambda_fn.runtime.retry import SystemClock
from lambda_fn.settings import Settings
from tests.faults.harness.naive_writer import NaiveWriter


def handler(event: Any, context: Any) -> Mapping[str, Any]:
    """Process an SQS batch. Any failure fails the whole batch."""
    _writer().handle_batch([record["body"] for record in event["Records"]])
    return {"batchItemFailures": []}


@lru_cache(maxsize=1)
def _writer() -> NaiveWriter:
    return NaiveWriter(Settings.from_environment(os.environ), SystemClock(), marks_first=True)
