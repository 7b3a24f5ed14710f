"""Tests of the report over an Iceberg table."""
