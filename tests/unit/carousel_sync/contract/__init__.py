"""Unit tests of carousel_sync.contract."""
