"""Unit tests of carousel_sync.local_stack."""
