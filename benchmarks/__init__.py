"""Measures the project side by side with what a user would choose instead: ``python -m benchmarks``."""
