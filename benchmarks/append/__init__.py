"""Appends to the Iceberg table: one, thousands in sequence, and several at the same time."""
