"""Runs a program as if it were later: ``at_a_later_time.py SECONDS FILE ARGUMENT...``.

Runs in Spark's process. Java's clock, and so Iceberg's, stays as it is.
"""

from __future__ import annotations

import runpy
import sys
import time

seconds, *words = sys.argv[1:]
now = time.time
sys.argv = words
time.time = lambda: now() + float(seconds)
try:
    runpy.run_path(words[0], run_name="__main__")
finally:
    time.time = now
