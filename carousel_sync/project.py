"""Paths of the project's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]
TEMPLATE: Final = PROJECT_ROOT / "template.yaml"
EXAMPLE_EVENT: Final = PROJECT_ROOT / "examples" / "carousel-sold-event.json"
