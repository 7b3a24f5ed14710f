"""The numbered migrations that lead from the first schema to the current one; never change one that was applied."""
