"""The commands and the documentation cover every resource that template.yaml retains."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import cfnlint.decode  # type: ignore[import-untyped]
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from carousel_sync.deployment.data_protection import RETAINED_TYPES
from carousel_sync.project import PROJECT_ROOT

DOCUMENT = (PROJECT_ROOT / "docs" / "deployment.md").read_text()
STORES = PROJECT_ROOT / "carousel_sync" / "deployment" / "stored_data.py"


@pytest.fixture
def retained(resources: dict[str, Any]) -> dict[str, str]:
    return {
        name: resource["Type"] for name, resource in resources.items() if resource.get("DeletionPolicy") == "Retain"
    }


def test_replacing_any_of_them_is_refused(retained: dict[str, str]) -> None:
    assert set(retained.values()) == RETAINED_TYPES


def test_destroy_knows_all_of_them(retained: dict[str, str], resources: dict[str, Any]) -> None:
    source = STORES.read_text()
    assert {name for name in resources if f'"{name}"' in source} == set(retained)


def test_a_key_is_found_by_its_description(resources: dict[str, Any]) -> None:
    description = resources["EncryptionKey"]["Properties"]["Description"]["Fn::Sub"]
    assert description.replace("${Stage}", "{target.stage}") in STORES.read_text()


def test_the_documented_command_reduces_the_template_to_the_stores(
    tmp_path: Path, retained: dict[str, str], resources: dict[str, Any]
) -> None:
    (command,) = re.findall(r"^(sed .* template\.yaml) > build/stores\.yaml$", DOCUMENT, re.MULTILINE)
    shell = ["sh", "-c", command]
    text = subprocess.run(shell, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    # AWS CloudFormation API Reference, CreateChangeSet, TemplateBody.
    assert len(text.encode()) <= 51_200
    (tmp_path / "stores.yaml").write_text(text)
    decoded, problems = cfnlint.decode.decode(str(tmp_path / "stores.yaml"))
    assert not problems
    stores = json.loads(json.dumps(decoded))
    assert "Transform" not in stores
    assert "Outputs" not in stores
    assert stores["Resources"] == {name: resources[name] for name in retained}


def test_the_documented_import_identifies_all_of_them(retained: dict[str, str]) -> None:
    entries = [json.loads(text) for text in re.findall(r'\{"ResourceType": .*?\}\}', DOCUMENT)]
    assert {entry["LogicalResourceId"]: entry["ResourceType"] for entry in entries} == retained
    for entry in entries:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", entry["ResourceType"]).schema
        identifier = {path.removeprefix("/properties/") for path in schema["primaryIdentifier"]}
        assert set(entry["ResourceIdentifier"]) == identifier
