"""The analysts' queries on Trino, the engine family of Athena, and the examples of docs/analysts.md."""
