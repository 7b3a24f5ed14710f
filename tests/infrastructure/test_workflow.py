"""The GitHub workflow runs existing targets, deploys only main, and contains no account number or secret."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from carousel_sync.project import PROJECT_ROOT

WORKFLOW = PROJECT_ROOT / ".github/workflows/test-and-deploy.yaml"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return found


def test_make_targets_exist(jobs: dict[str, Any]) -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = {match[1] for run in runs if (match := re.match(r"make ([a-z-]+)", run))}
    assert targets == {"lint", "test", "test-engines", "deploy"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_only_main_is_deployed_after_the_tests(jobs: dict[str, Any]) -> None:
    deploy = jobs["deploy"]
    assert deploy["needs"] == ["test", "engines"]
    assert deploy["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    assert deploy["strategy"]["matrix"]["stage"] == ["dev", "prod"]
    assert deploy["strategy"]["max-parallel"] == 1


def test_what_was_there_before_the_deployment_does_not_fail_it(jobs: dict[str, Any]) -> None:
    (check,) = (step["run"] for step in jobs["deploy"]["steps"] if "doctor" in step.get("run", ""))
    assert check == ".venv/bin/carousel-sync doctor --stage ${{ matrix.stage }} --ci"


def test_only_the_deployment_job_gets_a_token(jobs: dict[str, Any]) -> None:
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == ["deploy"]
    assert yaml.safe_load(WORKFLOW.read_text())["permissions"] == {"contents": "read"}


def test_workflow_contains_no_account_number_or_secret() -> None:
    text = WORKFLOW.read_text()
    assert not re.search(r"\d{12}", text)
    assert "secrets." not in text
    assert "AKIA" not in text
