"""Unit tests of carousel_sync/doctor."""
