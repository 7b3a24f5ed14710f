"""Unit tests of carousel_sync.check."""
