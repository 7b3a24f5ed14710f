"""docs/security.md and docs/live-checklist.md: links, commands, and every right that the emulator does not enforce."""

from __future__ import annotations

import re

from carousel_sync.project import PROJECT_ROOT
from tests.integration.lambda_fn.test_rights_enforced import EMULATORS_WORDS, NOT_ENFORCED

DOCS = PROJECT_ROOT / "docs"


def test_what_the_emulator_does_not_enforce_is_for_a_person_with_an_account() -> None:
    text = (DOCS / "live-checklist.md").read_text()
    partiql = [action for action in EMULATORS_WORDS if action.startswith("dynamodb:")]
    for action in [*(action for _, action in NOT_ENFORCED), *partiql]:
        assert f"`{action}`" in text


def test_links_lead_somewhere() -> None:
    for name in ("security.md", "live-checklist.md", "deployment.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (DOCS / name).read_text()):
            assert (DOCS / link).exists(), f"{name}: {link}"


def test_targets_and_commands_are_there() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    for name in ("live-checklist.md", "deployment.md"):
        text = (DOCS / name).read_text()
        assert all(f"\n{target}:" in makefile for target in re.findall(r"\bmake ([a-z]+) STAGE", text))
