"""Tests of the whole system, as its users see it."""
