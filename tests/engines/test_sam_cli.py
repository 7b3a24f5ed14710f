"""The SAM CLI on this template and samconfig.toml: what docs/deployment.md, "With the SAM CLI", promises.

``make test-engines`` installs the SAM CLI into an environment of its own, .tools/sam.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carousel_sync.aws.target import Target, function_name
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.release.project_zip import PACKAGES

pytestmark = pytest.mark.engine

SAM = PROJECT_ROOT / ".tools/sam/bin/sam"
# The emulator has no schema registry.
ON_THE_EMULATOR = ("--parameter-overrides", "Stage=dev SchemaRegistry=false")


class Sam:
    """The SAM CLI in a project folder, talking to an embedded stack."""

    def __init__(self, folder: Path, target: Target) -> None:
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": target.region,
            "AWS_ENDPOINT_URL": str(target.endpoint_url),
        }

    def run(self, *arguments: str, answer: str = "") -> str:
        """Run a command that must succeed; return what it printed."""
        done = subprocess.run(
            [str(SAM), *arguments],
            cwd=self._folder,
            env=self._environment,
            input=answer,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def sam_stack(tmp_path: Path) -> Iterator[LocalStack]:
    """An embedded stack that only this test changes."""
    with LocalStack(tmp_path / "state") as stack:
        stack.up()
        yield stack


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that the SAM CLI reads. The artefact is the project's code alone: the emulator has its dependencies."""
    folder = tmp_path / "project"
    for package in PACKAGES:
        shutil.copytree(PROJECT_ROOT / package, folder / "build/artefact" / package)
    for name in ("template.yaml", "samconfig.toml"):
        shutil.copy(PROJECT_ROOT / name, folder)
    return folder


@pytest.fixture
def sam(project: Path, sam_stack: LocalStack) -> Sam:
    if not SAM.exists():
        pytest.fail("The SAM CLI is not installed. Install it: make .tools/sam/bin/sam", pytrace=False)
    return Sam(project, sam_stack.target())


def published_versions(target: Target) -> int:
    answer = target.client("lambda").list_versions_by_function(FunctionName=function_name(target.stage))
    return len([version for version in answer["Versions"] if version["Version"] != "$LATEST"])


def live_code(target: Target) -> str:
    name = f"{function_name(target.stage)}:live"
    return str(target.client("lambda").get_function(FunctionName=name)["Configuration"]["CodeSha256"])


def test_validate_build_deploy_sync_and_invoke(sam: Sam, sam_stack: LocalStack, project: Path) -> None:
    target = sam_stack.target()
    assert "is a valid SAM Template" in sam.run("validate")

    sam.run("build", *ON_THE_EMULATOR)
    assert not list((project / ".aws-sam/build").glob("*/"))
    before = live_code(target)
    shown = sam.run("deploy", *ON_THE_EMULATOR, answer="y\n")
    assert "Deploy this changeset?" in shown
    assert "Successfully created/updated stack - carousel-sync-dev" in shown
    deployed = live_code(target)
    assert deployed != before

    handler = project / "build/artefact/lambda_fn/handler.py"
    handler.write_text(f"{handler.read_text()}\n# changed\n")
    versions = published_versions(target)
    sam.run("sync", "--code", "--no-watch", answer="y\n")
    assert published_versions(target) == versions + 1
    assert live_code(target) != deployed

    event = str(PROJECT_ROOT / "examples/carousel-sold-event.json")
    assert "Event processed successfully" in sam.run("remote", "invoke", "SyncFunction", "--event-file", event)
    assert "[CarouselSync] S3 Tables write successful" in sam.run("logs")
    assert function_name(target.stage) in sam.run("list", "stack-outputs", "--output", "json")


def test_delete_leaves_the_data(sam: Sam, sam_stack: LocalStack) -> None:
    sam.run("delete", "--no-prompts")
    target = sam_stack.target()
    assert len(target.client("dynamodb").list_tables()["TableNames"]) == 2
    assert len(target.client("sqs").list_queues()["QueueUrls"]) == 2
    assert len(target.client("s3tables").list_table_buckets()["tableBuckets"]) == 1
