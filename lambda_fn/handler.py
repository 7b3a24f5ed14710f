"""Entry point of the function: ``lambda_fn.handler.handler``."""

from __future__ import annotations

from typing import Any

from lambda_fn.runtime.startup import RARELY_USED, imported_when_used, nothing_is_garbage

with nothing_is_garbage(), imported_when_used(*RARELY_USED):
    from lambda_fn.application import LambdaContext
    from lambda_fn.wiring import application


def handler(event: Any, context: LambdaContext | None) -> dict[str, Any]:
    """Process one EventBridge event, or an SQS batch whose bodies are EventBridge events.

    Returns ``{"batchItemFailures": [...]}`` for a batch, and ``{"statusCode": ..., "body": ...}`` for an event. Raises
    ConfigurationError when the function is not set up, and SaleNotCommitted when one event has to be delivered again.
    """
    return application().handle(event, context)
