"""Tests of the report over the sales of all tenants."""
