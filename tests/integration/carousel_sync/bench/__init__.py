"""Tests of ``carousel_sync.bench`` against the embedded stack."""
