"""Analysts' questions as SQL files: with parameters, on DuckDB, on Athena, and in the template."""
