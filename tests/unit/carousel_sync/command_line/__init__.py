"""Unit tests of carousel_sync.command_line."""
