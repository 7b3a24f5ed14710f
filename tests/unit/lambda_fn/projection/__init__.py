"""Unit tests of lambda_fn/projection."""
