"""Unit tests of carousel_sync.aws."""
