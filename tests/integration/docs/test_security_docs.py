"""docs/security.md, docs/live-checklist.md and docs/deployment.md: drawing, permissions and targets."""

from __future__ import annotations

import re

from carousel_sync.project import PROJECT_ROOT
from tests.integration.lambda_fn.test_rights_enforced import EMULATORS_WORDS, NOT_ENFORCED

DOCS = PROJECT_ROOT / "docs"


def test_permissions_that_the_emulator_does_not_enforce_are_in_the_live_checklist() -> None:
    text = (DOCS / "live-checklist.md").read_text()
    partiql = [action for action in EMULATORS_WORDS if action.startswith("dynamodb:")]
    for action in [*(action for _, action in NOT_ENFORCED), *partiql]:
        assert f"`{action}`" in text


def test_make_targets_exist() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    for name in ("live-checklist.md", "deployment.md"):
        text = (DOCS / name).read_text()
        assert all(f"\n{target}:" in makefile for target in re.findall(r"\bmake ([a-z]+) STAGE", text))
