"""Stores past sales through Spark, with the function's own rules, guard and projection."""
