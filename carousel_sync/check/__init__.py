"""Checks events in files by the function's rules, for producers."""
