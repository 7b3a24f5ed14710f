"""Integration tests of catalog_config."""
