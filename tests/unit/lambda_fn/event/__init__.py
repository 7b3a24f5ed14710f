"""Unit tests of lambda_fn/event."""
