"""The queries that the template contains."""
