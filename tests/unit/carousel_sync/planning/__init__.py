"""Unit tests of carousel_sync/planning."""
