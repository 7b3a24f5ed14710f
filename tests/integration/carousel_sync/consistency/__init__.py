"""Integration tests of carousel_sync/consistency."""
