"""Unit tests of carousel_sync.explore."""
