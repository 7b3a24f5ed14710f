"""A pytest plugin that saves time for each mutant.

It imports what tests import only when they run, and defines a profile in which Hypothesis does not simplify failures.
"""

from __future__ import annotations

import pyiceberg.catalog.sql
import pyiceberg.io.pyarrow  # noqa: F401
from hypothesis import Phase, settings

settings.register_profile("mutants", deadline=None, phases=(Phase.explicit, Phase.generate))
