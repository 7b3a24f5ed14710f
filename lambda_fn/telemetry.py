"""Structured logs, metrics and traces, through Powertools for AWS Lambda."""

from __future__ import annotations

import threading
from typing import Any, Final, Unpack

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit, single_metric

from lambda_fn.ports import LogKeys, Metric, Reason

SERVICE: Final = "carousel-sync"
NAMESPACE: Final = "CarouselSync"

# A log line is attributed to the caller of this module.
_CALLER: Final = 3

_ALLOWED_KEYS: Final = frozenset(LogKeys.__annotations__)
_UNITS: Final = {
    Metric.COMMIT_MILLISECONDS: MetricUnit.Milliseconds,
    Metric.METADATA_BYTES: MetricUnit.Bytes,
}


def trace_requests() -> None:
    """Record every later request of an SDK client as an X-Ray sub-segment of the invocation that sends it.

    In Lambda, the X-Ray SDK finds the invocation's segment in the environment, from any thread: requests of worker
    threads need no context of their caller. A sub-segment holds names, counts and errors, and no content of a request.
    """
    # The settings decide whether there are traces; X-Ray's SDK is imported only by a tracer that is enabled.
    Tracer(service=SERVICE, disabled=False, patch_modules=("botocore",))


class PowertoolsTelemetry:
    """Logs as JSON lines, and metrics in CloudWatch's embedded metric format, written once per invocation.

    Only keys of an allow-list reach a log line: no description, price or embedding is ever logged.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._logger = Logger(service=SERVICE)
        # Instances of Metrics share their state: two applications in a process would mix their dimensions.
        self._metrics = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
        self._metrics.set_default_dimensions(stage=stage)
        # The threads that send requests count throttled ones.
        self._lock = threading.Lock()
        self._cold_start = True

    def start(self, request_id: str) -> None:
        """Begin an invocation. Every log line carries its request id, and whether it is the process's first."""
        self._logger.append_keys(request_id=request_id, cold_start=self._cold_start)
        self.measure(Metric.COLD_STARTS, int(self._cold_start))
        # Zeros are recorded, too: a gap in a graph could also mean that nothing was recorded.
        self.measure(Metric.DYNAMODB_THROTTLES, 0)
        self._cold_start = False

    def flush(self) -> None:
        """Write the invocation's metrics."""
        self._metrics.flush_metrics()

    def info(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log a normal event."""
        self._logger.info(text, extra=_allowed(keys), stacklevel=_CALLER)

    def warning(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log a rejection, or work that has to be repeated."""
        self._logger.warning(text, extra=_allowed(keys), stacklevel=_CALLER)

    def failure(self, error: Exception) -> None:
        """Log an invocation that failed as a whole. Its events are delivered again."""
        self._logger.error("[CarouselSync] Failed to sync", extra={"cause": f"{type(error).__name__}: {error}"})

    def measure(self, metric: Metric, value: float) -> None:
        """Add to a metric of this invocation. Any thread may call it."""
        with self._lock:
            self._metrics.add_metric(metric.value, _UNITS.get(metric, MetricUnit.Count), value)

    def throttled(self, requests: int) -> None:
        """Count the requests, or items of a request, that DynamoDB throttled."""
        self.measure(Metric.DYNAMODB_THROTTLES, requests)

    def table_answered(self, size_bytes: int) -> None:
        """Record the size of the table's metadata in a catalog's answer."""
        self.measure(Metric.METADATA_BYTES, size_bytes)

    def rejected(self, reason: Reason) -> None:
        """Count a rejected event by its reason."""
        self.measure(Metric.SALES_REJECTED, 1)
        with single_metric(
            name=Metric.SALES_REJECTED.value,
            unit=MetricUnit.Count,
            value=1,
            namespace=NAMESPACE,
            default_dimensions={"service": SERVICE, "stage": self._stage},
        ) as metric:
            metric.add_dimension("reason", reason.value)


def _allowed(keys: LogKeys) -> dict[str, Any]:
    return {name: value for name, value in keys.items() if name in _ALLOWED_KEYS}
