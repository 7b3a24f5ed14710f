"""The seed of random harnesses."""

from __future__ import annotations

import os
from typing import Final

SEED_VARIABLE: Final = "FAULTS_SEED"
DEFAULT_SEED: Final = 20_260_315


def seed_from_environment() -> int:
    """Return $FAULTS_SEED, or else the same seed each time."""
    return int(os.environ.get(SEED_VARIABLE) or DEFAULT_SEED)
