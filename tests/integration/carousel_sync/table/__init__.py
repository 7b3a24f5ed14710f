"""Integration tests of carousel_sync/table."""
