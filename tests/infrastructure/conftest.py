"""The template as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cfnlint.decode  # type: ignore[import-untyped]
import pytest

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    decoded, problems = cfnlint.decode.decode(str(TEMPLATE))
    assert not problems
    plain: dict[str, Any] = json.loads(json.dumps(decoded))
    return plain


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found
