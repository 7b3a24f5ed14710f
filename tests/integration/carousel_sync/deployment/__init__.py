"""Integration tests of carousel_sync/deployment."""
