"""Engines that read the Iceberg table: Spark, Trino, DuckDB, pyiceberg, Polars and Daft, all behind one protocol."""
