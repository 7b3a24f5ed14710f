"""Unit tests of carousel_sync.events."""
