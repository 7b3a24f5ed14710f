"""Entry point of the Lambda function: ``lambda_fn.handler.handler``."""

from __future__ import annotations

from typing import Any

from lambda_fn.runtime.startup import without_garbage_collection

with without_garbage_collection():
    from lambda_fn.application import LambdaContext
    from lambda_fn.wiring import application


def handler(event: Any, context: LambdaContext | None) -> dict[str, Any]:
    """Process one EventBridge event, or an SQS batch whose bodies are EventBridge events.

    Returns ``{"batchItemFailures": [...]}`` for a batch, and ``{"statusCode": ..., "body": ...}`` for an event. Raises
    ConfigurationError if the function is not set up, and SaleNotCommitted if the event has to be delivered again.
    """
    return application().handle(event, context)
