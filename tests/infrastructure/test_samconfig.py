"""samconfig.toml agrees with the template and with what ``make deploy`` uses."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from carousel_sync.aws.target import STACK_NAME
from carousel_sync.deployment.change_set import CAPABILITIES
from carousel_sync.project import PROJECT_ROOT

CONFIGURATION: dict[str, Any] = tomllib.loads((PROJECT_ROOT / "samconfig.toml").read_text())
# The SAM CLI's environment, and the stage that it deploys.
STAGES = {"default": "dev", "prod": "prod"}


def parameters(environment: str, command: str) -> dict[str, Any]:
    found: dict[str, Any] = CONFIGURATION[environment][command]["parameters"]
    return found


def test_every_environment_has_a_stage() -> None:
    assert CONFIGURATION.keys() - {"version"} == STAGES.keys()


@pytest.mark.parametrize(("environment", "stage"), STAGES.items())
def test_stack_is_the_one_that_make_deploy_uses(environment: str, stage: str) -> None:
    assert parameters(environment, "global")["stack_name"] == STACK_NAME.format(stage=stage)


@pytest.mark.parametrize(("environment", "stage"), STAGES.items())
def test_overrides_are_parameters_of_the_template(environment: str, stage: str, template: dict[str, Any]) -> None:
    overrides = dict(text.split("=", 1) for text in parameters(environment, "global")["parameter_overrides"])
    assert overrides["Stage"] == stage
    assert overrides.keys() <= template["Parameters"].keys()


@pytest.mark.parametrize(("environment", "command"), [("default", "deploy"), ("default", "sync"), ("prod", "deploy")])
def test_capabilities_and_tags_are_those_of_make_deploy(environment: str, command: str) -> None:
    given = parameters(environment, command)
    assert tuple(given["capabilities"]) == CAPABILITIES
    assert given["tags"] == ["project=carousel-sync", f"stage={STAGES[environment]}"]


@pytest.mark.parametrize("environment", STAGES)
def test_a_change_set_is_shown_before_it_is_executed(environment: str) -> None:
    assert parameters(environment, "deploy")["confirm_changeset"] is True


def test_sync_is_configured_for_development_only() -> None:
    assert "sync" not in CONFIGURATION["prod"]


def test_sam_build_keeps_the_artefact(resources: dict[str, Any]) -> None:
    assert resources["SyncFunction"]["Metadata"]["SkipBuild"] is True
