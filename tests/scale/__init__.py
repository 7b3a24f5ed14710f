"""Measurements at full size, each a separate command: they take minutes and are not part of ``make test``."""
