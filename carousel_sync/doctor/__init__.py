"""Checks a deployed stage from outside and names a remedy for every fault; no check changes anything."""
