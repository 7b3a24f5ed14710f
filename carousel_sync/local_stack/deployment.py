"""Deploying template.yaml to the emulator through CloudFormation, as it is deployed to AWS."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import STACK_NAME, Target
from carousel_sync.local_stack.corrections import apply_corrections
from carousel_sync.release.project_zip import CodePackage, package_code, with_code_uri
from lambda_fn.errors import ConfigurationError

_ARTEFACT_BUCKET: Final = "carousel-sync-artefacts"
_DEPLOY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.1
_CAPABILITIES: Final = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")


@dataclass(frozen=True)
class Deployment:
    """A template to deploy, with its code and its parameters."""

    template: str
    code: CodePackage
    parameters: dict[str, str]

    @property
    def digest(self) -> str:
        """A fingerprint, which changes with the template, the code and the parameters."""
        parts = (self.template, self.code.digest, repr(sorted(self.parameters.items())))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def prepare(root: Path, parameters: dict[str, str]) -> Deployment:
    """Read the template and package the code. Raises ConfigurationError when ``root`` is not a checkout."""
    path = root / "template.yaml"
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist. The embedded stack needs a checkout of this project.")
    return Deployment(path.read_text(), package_code(root), parameters)


def deploy(target: Target, deployment: Deployment) -> None:
    """Create or update the stack, and wait until CloudFormation is done.

    Raises ConfigurationError with CloudFormation's reasons when it fails. The emulator keeps running.
    """
    template = with_code_uri(deployment.template, _upload(target, deployment.code))
    name = STACK_NAME.format(stage=target.stage)
    client = target.client("cloudformation")
    request = {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in deployment.parameters.items()],
        "Capabilities": list(_CAPABILITIES),
    }
    change = client.update_stack if cloudformation.describe(target) else client.create_stack
    try:
        change(**request)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise ConfigurationError(f"CloudFormation refused template.yaml: {error}. Nothing was changed.") from error
    apply_corrections(target, cloudformation.outputs(_wait(target)))


def _upload(target: Target, code: CodePackage) -> str:
    """Upload the code for CloudFormation under a key that changes with it, and return its URL."""
    s3 = target.client("s3")
    try:
        s3.create_bucket(Bucket=_ARTEFACT_BUCKET, CreateBucketConfiguration={"LocationConstraint": target.region})
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    key = f"{code.digest}.zip"
    s3.put_object(Bucket=_ARTEFACT_BUCKET, Key=key, Body=code.content)
    return f"s3://{_ARTEFACT_BUCKET}/{key}"


def _wait(target: Target) -> dict[str, Any]:
    deadline = time.monotonic() + _DEPLOY_SECONDS
    status = "unknown"
    while time.monotonic() < deadline:
        description = cloudformation.describe(target)
        status = description["StackStatus"] if description else "DELETED"
        if description and status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return description
        if not status.endswith("_IN_PROGRESS"):
            raise ConfigurationError(f"The deployment failed with status {status}:\n{_reasons(target)}")
        time.sleep(_POLL_SECONDS)
    raise ConfigurationError(f"The deployment still has status {status} after {_DEPLOY_SECONDS:.0f} s, and continues.")


def _reasons(target: Target) -> str:
    name = STACK_NAME.format(stage=target.stage)
    events = target.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if "FAILED" in event.get("ResourceStatus", "")]
    lines = [
        f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}" for event in failed
    ]
    return "\n".join(lines) or "  no reason given"
