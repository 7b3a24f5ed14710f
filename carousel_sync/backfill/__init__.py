"""Stores past sales from files, exactly once, with the function's own code."""
