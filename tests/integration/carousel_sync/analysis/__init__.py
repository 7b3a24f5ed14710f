"""Tests of the analysts' queries over an Iceberg table."""
