"""Unit tests of carousel_sync/consistency."""
