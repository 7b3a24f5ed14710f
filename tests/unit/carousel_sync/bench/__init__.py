"""Tests of ``carousel_sync.bench`` without a stack."""
