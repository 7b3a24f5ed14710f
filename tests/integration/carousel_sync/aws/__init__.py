"""Integration tests of carousel_sync/aws."""
