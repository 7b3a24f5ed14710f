"""Integration tests of docs."""
