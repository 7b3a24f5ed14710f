"""Measurements at full size, each a command of its own: they take minutes, and are no part of ``make test``."""
