"""Structured logs and metrics, through Powertools for AWS Lambda."""

from __future__ import annotations

import threading
from typing import Any, Final, Unpack

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit, single_metric

from lambda_fn.ports import LogKeys, Metric, Reason

SERVICE: Final = "carousel-sync"
NAMESPACE: Final = "CarouselSync"

# A line is attributed to who called this module, not to this module.
_CALLER: Final = 3

_ALLOWED_KEYS: Final = frozenset(LogKeys.__annotations__)
_UNITS: Final = {
    Metric.COMMIT_MILLISECONDS: MetricUnit.Milliseconds,
    Metric.METADATA_BYTES: MetricUnit.Bytes,
}


class PowertoolsTelemetry:
    """Logs as JSON lines; metrics as CloudWatch's embedded metric format, written once for each invocation.

    Keys of a log line are an allow-list: no description, price or embedding can reach a log, whoever calls.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._logger = Logger(service=SERVICE)
        # Metrics() of one process share what they hold: two applications would count into each other's dimensions.
        self._metrics = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
        self._metrics.set_default_dimensions(stage=stage)
        # Throttled requests are told by the threads that made them.
        self._lock = threading.Lock()
        self._cold_start = True

    def start(self, request_id: str) -> None:
        """Begin an invocation: its request id goes with every line, and whether it is its process's first."""
        self._logger.append_keys(request_id=request_id, cold_start=self._cold_start)
        self.measure(Metric.COLD_STARTS, int(self._cold_start))
        # Zeros are told too: a gap in a graph would leave open whether nothing happened or nothing was said.
        self.measure(Metric.DYNAMODB_THROTTLES, 0)
        self._cold_start = False

    def flush(self) -> None:
        """Write the invocation's metrics."""
        self._metrics.flush_metrics()

    def info(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log something that is as it should be."""
        self._logger.info(text, extra=_allowed(keys), stacklevel=_CALLER)

    def warning(self, text: str, **keys: Unpack[LogKeys]) -> None:
        """Log something that was refused or has to be done again."""
        self._logger.warning(text, extra=_allowed(keys), stacklevel=_CALLER)

    def failure(self, error: Exception) -> None:
        """Log an invocation that failed as a whole; its events are delivered again."""
        self._logger.error("[CarouselSync] Failed to sync", extra={"cause": f"{type(error).__name__}: {error}"})

    def measure(self, metric: Metric, value: float) -> None:
        """Add to a metric of this invocation, from any thread."""
        with self._lock:
            self._metrics.add_metric(metric.value, _UNITS.get(metric, MetricUnit.Count), value)

    def throttled(self, requests: int) -> None:
        """Count what DynamoDB did not take because it came too fast: requests, or items of a request."""
        self.measure(Metric.DYNAMODB_THROTTLES, requests)

    def table_answered(self, size_bytes: int) -> None:
        """Note the size of the table's metadata, as the catalog's answer carried it."""
        self.measure(Metric.METADATA_BYTES, size_bytes)

    def rejected(self, reason: Reason) -> None:
        """Count a rejected event under its reason."""
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
