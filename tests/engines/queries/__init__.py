"""The analysts' queries on Trino, the engine family of Athena."""
