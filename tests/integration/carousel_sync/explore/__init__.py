"""Integration tests of carousel_sync.explore."""
