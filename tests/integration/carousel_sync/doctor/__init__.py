"""Integration tests of carousel_sync/doctor."""
