"""A pytest plugin that imports what tests import only when they run, so that not every mutant imports it again."""

from __future__ import annotations

import pyiceberg.catalog.sql
import pyiceberg.io.pyarrow  # noqa: F401
