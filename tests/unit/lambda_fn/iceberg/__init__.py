"""Unit tests of lambda_fn/iceberg."""
