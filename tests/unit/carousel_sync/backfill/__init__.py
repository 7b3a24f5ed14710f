"""Unit tests of carousel_sync/backfill."""
