"""The Iceberg adapter: stages, commits and judges appends to the table of sales."""
