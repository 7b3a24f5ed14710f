"""Estimates what a month costs, and chooses settings for a load."""
