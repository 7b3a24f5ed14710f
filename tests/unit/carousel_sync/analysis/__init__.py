"""Unit tests of the analysts' queries: files, parameters, and running them on Athena."""
