"""Unit tests of carousel_sync.dead_letters."""
