"""Integration tests of carousel_sync/backfill."""
